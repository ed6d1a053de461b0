"""The pictures of `tinysight explain`: heat maps, feature maps, learned and fixed kernels, with matplotlib.

Every figure is its own function that returns a matplotlib Figure; pyplot is never imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.kernels import KERNELS, apply_all
from tinysight.evaluation.pictures import to_pictures
from tinysight.report.labels import PlotFont

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_CHANNELS = 12
MAX_KERNELS, KERNEL_COLUMNS = 64, 16
_CELL = 1.15


def heat_figure(image: NDArray[np.uint8], heat: NDArray[np.float32], title: str, words: str) -> Figure:
    """An image, the image under its heat map, and the heat map alone.

    Args:
        image: uint8, shape (height, width, channels).
        heat: float32, shape (height, width), 0..1.
        title: what the net said.
        words: how to read the map.
    """
    figure = _new_figure(9.6, 4.2)
    _title(figure, title, 0.03)
    figure.text(0.03, 0.03, words, fontsize=9, wrap=True, **_plain())
    left, middle, right = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.03, right=0.9, top=0.82, bottom=0.13, wspace=0.06)
    _show(left, image, "as the net sees it")
    _show(middle, image, "with its heat map")
    middle.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.6, interpolation="nearest")
    _show(right, image, "heat map alone")
    shown = right.imshow(heat, cmap="inferno", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(shown, cax=figure.add_axes((0.92, 0.2, 0.015, 0.55)))
    bar.outline.set_visible(False)
    return figure


def features_figure(image: NDArray[np.uint8], layers: list[tuple[str, NDArray[np.float32]]], title: str) -> Figure:
    """What each layer makes of an image, one row a layer, at most `MAX_CHANNELS` maps of each.

    Args:
        image: uint8, shape (height, width, channels).
        layers: (name, float32 maps of shape (rows, columns, channels)), in the net's order.
        title: above all rows.
    """
    figure = _new_figure(_CELL * MAX_CHANNELS + 2.2, _CELL * (len(layers) + 1) + 0.8)
    _title(figure, title)
    grid = figure.subplots(len(layers) + 1, MAX_CHANNELS, squeeze=False)
    figure.subplots_adjust(left=0.16, right=0.99, bottom=0.02, top=1 - 0.7 / figure.get_figheight(), wspace=0.08)
    for axes in grid.flat:
        axes.set_axis_off()
    _show(grid[0, 0], image, "")
    _name_row(grid[0, 0], "the image")
    font = PlotFont()
    for number, (row, (name, values)) in enumerate(zip(grid[1:], layers, strict=True), start=1):
        rows, columns, num_channels = values.shape
        shown_name = font.drawable(name, number, "layer")
        _name_row(row[0], f"{shown_name}\n{min(num_channels, MAX_CHANNELS)} of {num_channels}, {rows} x {columns}")
        for axes, picture in zip(row, to_pictures(values[..., :MAX_CHANNELS]), strict=False):
            _show(axes, picture, "")
    return figure


def classic_figure(image: NDArray[np.uint8], learned: tuple[str, NDArray[np.float32]] | None, title: str) -> Figure:
    """What fixed kernels make of an image, and below what the windows do that the net learned.

    Args:
        image: uint8, shape (height, width, channels).
        learned: (name, float32 maps of shape (rows, columns, channels)) of the net's first convolution, or None.
        title: above all.
    """
    results = apply_all(image)
    figure = _new_figure(_CELL * 1.25 * len(KERNELS), 4.6 if learned else 2.7)
    _title(figure, title)
    grid = figure.subplots(2 if learned else 1, len(KERNELS), squeeze=False)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=0.78, wspace=0.08, hspace=0.35)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, picture) in zip(grid[0], results.items(), strict=True):
        _show(axes, picture, name)
    if learned is not None:
        name, values = PlotFont().drawable(learned[0], 1, "layer"), learned[1]
        for number, (axes, picture) in enumerate(zip(grid[1], to_pictures(values), strict=False), start=1):
            _show(axes, picture, f"{name}, {number}")
    return figure


def kernels_figure(pictures: NDArray[np.uint8], title: str) -> Figure:
    """The windows of the first convolution.

    Args:
        pictures: uint8, shape (filters, height, width, channels), 128 = weight 0; at most `MAX_KERNELS` are drawn.
        title: above all.
    """
    shown = pictures[:MAX_KERNELS]
    num_rows = -(-len(shown) // KERNEL_COLUMNS)
    figure = _new_figure(0.7 * KERNEL_COLUMNS, 0.7 * num_rows + 0.7)
    _title(figure, title)
    grid = figure.subplots(num_rows, KERNEL_COLUMNS, squeeze=False)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=1 - 0.6 / figure.get_figheight(), wspace=0.1)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, picture in zip(grid.flat, shown, strict=False):
        _show(axes, picture, "")
    return figure


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def _plain() -> dict[str, Any]:
    """How a text is drawn that a person may have written: a dollar sign in it begins no formula."""
    return {"parse_math": False, "family": PlotFont().families}


def _title(figure: Figure, title: str, left: float = 0.02) -> None:
    figure.suptitle(title, x=left, ha="left", fontsize=13, **_plain())


def _show(axes: Axes, picture: NDArray[Any], title: str) -> None:
    grey = picture.ndim == 2 or picture.shape[-1] == 1
    axes.set_axis_off()
    axes.set_title(title, fontsize=9, loc="left", **_plain())
    plain = picture.reshape(picture.shape[:2]) if grey else picture
    axes.imshow(plain, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation="nearest")


def _name_row(axes: Axes, name: str) -> None:
    axes.text(-0.12, 0.5, name, transform=axes.transAxes, ha="right", va="center", fontsize=9, **_plain())
