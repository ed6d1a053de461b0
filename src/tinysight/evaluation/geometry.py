"""Where in the image the cells of a feature map look.

A net of valid convolutions sees the border less and less: the four cells of a 4x4 map at the end of a tutorial's net
are centred at pixels 8.5, 12.5, 16.5 and 20.5 of 32, not at 3.5, 11.5, 19.5 and 27.5, where stretching the map over the
image would put them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """Cell i along one side of a map is centred at pixel `start + i * step` of the image.

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, arXiv 1603.07285.
    """

    start: float = 0.0
    step: float = 1.0

    def after_window(self, size: int, stride: int, dilation: int, padding: str, num_cells: int) -> Axis:
        """The axis behind a window that moves over `num_cells` cells of this one."""
        reach = (size - 1) * dilation
        before = 0
        if padding == "same":
            num_outputs = -(-num_cells // stride)
            before = max((num_outputs - 1) * stride + reach + 1 - num_cells, 0) // 2
        return Axis(self.start + (reach / 2 - before) * self.step, self.step * stride)

    def resized(self, num_cells: int, num_outputs: int) -> Axis:
        """The axis when a layer of unknown workings turned `num_cells` cells into `num_outputs` over the same width."""
        step = self.step * num_cells / num_outputs
        return Axis(self.start - self.step / 2 + step / 2, step)


Axes = tuple[Axis, Axis]


def axes_after(layer: Any, axes: Axes, before: tuple[int, ...], after: tuple[int, ...]) -> Axes:
    """Where the cells of a layer's output are centred, down and across.

    Args:
        layer: a Keras layer.
        axes: where the cells of its input are centred.
        before: shape (n, height, width, channels) of its input.
        after: shape of its output.
    """
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    moves = size is not None and "Transpose" not in type(layer).__name__
    down, across = (
        _windowed(layer, axes[side], _side(size, side), side, before[side + 1])
        if moves
        else axes[side].resized(before[side + 1], after[side + 1])
        for side in (0, 1)
    )
    return down, across


def _windowed(layer: Any, axis: Axis, size: int, side: int, num_cells: int) -> Axis:
    strides = getattr(layer, "strides", None)
    stride = size if strides is None else _side(strides, side)
    dilation = _side(getattr(layer, "dilation_rate", 1), side)
    return axis.after_window(size, stride, dilation, getattr(layer, "padding", "valid"), num_cells)


def _side(value: Any, side: int) -> int:
    return int(value[side] if isinstance(value, tuple | list) else value)


def stretch(maps: NDArray[np.float32], axes: Axes, size: tuple[int, int]) -> NDArray[np.float32]:
    """Maps drawn out over the image, each cell at its centre and straight lines between.

    Args:
        maps: float32, shape (n, rows, columns).
        axes: where the cells are centred.
        size: (height, width) of the image.

    Returns:
        float32, shape (n, height, width). Beyond the outermost cells the maps fade to 0.
    """
    down, across = (_weights(axes[side], maps.shape[side + 1], size[side]) for side in (0, 1))
    return np.asarray(np.einsum("yi,nij,xj->nyx", down, maps, across, optimize=True), np.float32)


def _weights(axis: Axis, num_cells: int, num_pixels: int) -> NDArray[np.float32]:
    """How much of each cell goes into each pixel: float32, shape (pixels, cells), rows that sum to 1 or less."""
    position = (np.arange(num_pixels) - axis.start) / axis.step
    inside = np.clip(position, 0, num_cells - 1)
    distance = np.abs(inside[:, None] - np.arange(num_cells))
    # A cell is as wide as a step: half a step beyond the last centre is within it, a step and a half is none of it.
    beyond = np.abs(position - inside)[:, None]
    return np.asarray(np.maximum(1 - distance, 0) * np.clip(1.5 - beyond, 0, 1), np.float32)
