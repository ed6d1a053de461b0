"""Images whose evidence has a known place: noise with a bright square in the quadrant that is the class."""

from __future__ import annotations

import numpy as np

from tinysight.images import DataSet, ImageSet

NAMES = ("upper left", "upper right", "lower left", "lower right")
SIDE, SQUARE = 24, 5


def quadrants(count: int, *, seed: int = 0, channels: int = 1) -> ImageSet:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (count, SIDE, SIDE, channels)).astype(np.uint8)
    labels = (np.arange(count) % 4).astype(np.int32)
    for image, (row, column) in zip(images, corners(count, seed=seed), strict=True):
        image[row : row + SQUARE, column : column + SQUARE] = 230
    return ImageSet(images=images, labels=labels, class_names=NAMES)


def corners(count: int, *, seed: int = 0) -> np.ndarray:
    """(row, column) of the upper left corner of each image's square: int64, shape (count, 2)."""
    inside = np.random.default_rng(seed + 1000).integers(1, SIDE // 2 - SQUARE, (count, 2))
    labels = np.arange(count) % 4
    return inside + np.stack([labels // 2, labels % 2], axis=1) * (SIDE // 2)


def quadrant_data() -> DataSet:
    return DataSet(name="quadrants", train=quadrants(400), test=quadrants(120, seed=1), origin="made for tests")
