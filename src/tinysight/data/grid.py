"""The grid of pictures that every tutorial begins with: images with their class names underneath."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.files import atomic_path
from tinysight.images import ImageSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CELLS = 1024
_INCHES_PER_CELL, _MAX_NAME = 2.0, 22
# What marks a PNG file as ours to overwrite.
_SOFTWARE = "tinysight"


def draw_grid(
    image_set: ImageSet,
    rows: int = 5,
    cols: int = 5,
    indices: NDArray[Any] | None = None,
    path: Path | None = None,
) -> Figure:
    """Draws images in a grid, row by row, each with its class name underneath.

    Args:
        image_set: where the images come from; one channel is shown grey.
        rows, cols: the grid.
        indices: which images, at most rows * cols; None for the first ones. Cells left over stay empty.
        path: a PNG file to write as well, whole or not at all; None to write none.

    Returns:
        a matplotlib Figure, in the style of https://www.tensorflow.org/tutorials/images/cnn, without pyplot's state.

    Raises:
        InvalidValueError: when the grid has no cell or too many, or more images than cells are asked for.
    """
    from matplotlib.figure import Figure

    check_size(rows, cols)
    chosen = choose(len(image_set), rows * cols) if indices is None else np.asarray(indices)
    if len(chosen) > rows * cols:
        raise InvalidValueError(f"{len(chosen)} images do not fit a grid of {rows}x{cols}")
    figure = Figure(figsize=(cols * _INCHES_PER_CELL, rows * _INCHES_PER_CELL))
    cells = figure.subplots(rows, cols, squeeze=False).ravel()
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.06 if rows > 2 else 0.12, top=0.98, wspace=0.1, hspace=0.22)
    for cell, index in zip(cells, chosen, strict=False):
        name = image_set.class_names[image_set.labels[index]]
        _draw_cell(cell, np.asarray(image_set.images[index]), name)
    for cell in cells[len(chosen) :]:
        cell.set_axis_off()
    if path is not None:
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=100, metadata={"Software": _SOFTWARE})
    return figure


def choose(num_images: int, num_wanted: int, seed: int | None = None) -> NDArray[np.int64]:
    """Which images a grid shows: int64 indices, the first ones, or with a seed a random choice without repeats."""
    num_chosen = min(num_images, num_wanted)
    if seed is None:
        return np.arange(num_chosen, dtype=np.int64)
    # Raw words of PCG64 are the same on every platform and in every NumPy.
    return np.argsort(np.random.PCG64(seed).random_raw(num_images), kind="stable")[:num_chosen].astype(np.int64)


def check_size(rows: int, cols: int) -> None:
    """Raises InvalidValueError for a grid without cells or with too many."""
    if rows < 1 or cols < 1 or rows * cols > MAX_CELLS:
        raise InvalidValueError(f"a grid of {rows}x{cols}; expected at least 1x1 and at most {MAX_CELLS} cells")


def check_free(path: Path) -> None:
    """Raises InvalidValueError unless a grid may be written to `path`: nothing lies there, or a grid drawn earlier."""
    if path.suffix.lower() != ".png":
        raise InvalidValueError(f"'{path}' does not end in .png, the one format that a grid is written in")
    if path.is_dir() or (path.exists() and not _is_own(path)):
        raise InvalidValueError(f"'{path}' exists and is no grid of ours: name another file with --output")


def _is_own(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4096)
    return head.startswith(b"\x89PNG") and f"Software\0{_SOFTWARE}".encode() in head


def _draw_cell(cell: Any, image: NDArray[np.uint8], name: str) -> None:
    if image.shape[2] == 1:
        cell.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        cell.imshow(image, interpolation="nearest")
    cell.set_xticks([])
    cell.set_yticks([])
    short = name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
    # A class called "$5" is no formula.
    cell.set_xlabel(short, parse_math=False)
