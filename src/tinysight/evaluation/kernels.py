"""The fixed kernels of every image-processing course, to set beside what a net learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError


@dataclass(frozen=True)
class Kernel:
    """A 3x3 or 5x5 window of weights.

    Attributes:
        words: what it does, for a person.
        weights: rows of numbers, multiplied by `factor`.
        factor: usually 1 / sum, so that flat areas keep their grey.
        offset: grey that is added, 0..255: 128 where the result is as often below 0 as above.
    """

    words: str
    weights: tuple[tuple[float, ...], ...]
    factor: float = 1.0
    offset: float = 0.0

    def as_array(self) -> NDArray[np.float32]:
        """float32, shape (rows, columns)."""
        return np.asarray(self.weights, np.float32) * np.float32(self.factor)


# Name -> kernel, as in Gonzalez and Woods, Digital Image Processing, chapter 3; Sobel's of Sobel and Feldman 1968.
KERNELS: dict[str, Kernel] = {
    "identity": Kernel("leaves the image as it is", ((0, 0, 0), (0, 1, 0), (0, 0, 0))),
    "blur": Kernel("the mean of nine neighbours: details go", ((1, 1, 1), (1, 1, 1), (1, 1, 1)), factor=1 / 9),
    "gaussian blur": Kernel(
        "a mean that weighs near neighbours more: softer than the plain blur",
        ((1, 4, 6, 4, 1), (4, 16, 24, 16, 4), (6, 24, 36, 24, 6), (4, 16, 24, 16, 4), (1, 4, 6, 4, 1)),
        factor=1 / 256,
    ),
    "sharpen": Kernel("adds to each pixel how it differs from its neighbours", ((0, -1, 0), (-1, 5, -1), (0, -1, 0))),
    "vertical edges": Kernel(
        "bright where it gets brighter to the right, dark where it gets darker (Sobel)",
        ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
        factor=1 / 4,
        offset=128,
    ),
    "horizontal edges": Kernel(
        "bright where it gets brighter downwards, dark where it gets darker (Sobel)",
        ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
        factor=1 / 4,
        offset=128,
    ),
    "outline": Kernel(
        "bright where a pixel is brighter than the mean around it, in all directions (Laplace)",
        ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
        factor=1 / 4,
        offset=128,
    ),
    "emboss": Kernel(
        "as if lit from the upper left: slopes towards the light are bright",
        ((2, 1, 0), (1, 0, -1), (0, -1, -2)),
        factor=-1 / 4,
        offset=128,
    ),
}


def grey(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The luma of an image (ITU-R 601), unrounded: float32, shape (height, width), 0..255.

    Raises:
        InvalidValueError: when `image` is not uint8 of shape (height, width, 1 or 3).
    """
    if image.ndim != 3 or image.dtype != np.uint8 or image.shape[2] not in (1, 3):
        raise InvalidValueError(
            f"the image is {image.dtype} of shape {image.shape}; expected uint8 of shape (height, width, 1 or 3)"
        )
    if image.shape[2] == 1:
        return image[..., 0].astype(np.float32)
    return np.asarray(image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def apply_kernel(kernel: Kernel, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a kernel makes of an image's grey, as a convolution layer does: the window is not turned over.

    Args:
        kernel: one of `KERNELS`, or another.
        image: uint8, shape (height, width, channels), channels 1 or 3.

    Returns:
        uint8, shape (height, width). Beyond its border the image goes on with its outermost pixels; what falls outside
        0..255 is cut off.

    Raises:
        InvalidValueError: when `image` is anything else.
    """
    weights = kernel.as_array()
    up, left = weights.shape[0] // 2, weights.shape[1] // 2
    padded = np.pad(grey(image), ((up, up), (left, left)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape)
    result = np.einsum("yxij,ij->yx", windows, weights) + kernel.offset
    return np.asarray(np.clip(np.rint(result), 0, 255), np.uint8)


def apply_all(image: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """`apply_kernel` of every kernel in `KERNELS`, by name."""
    return {name: apply_kernel(kernel, image) for name, kernel in KERNELS.items()}
