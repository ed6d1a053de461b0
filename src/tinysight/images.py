"""Images in memory: one uint8 array, integer labels and the names of the classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Labelled images of one size.

    Attributes:
        images: uint8, shape (n, height, width, channels), raw pixels 0..255; channels is 1 or 3. May be a memory map.
        labels: int32, shape (n,), indices into `class_names`; other integers become int32.
        class_names: one name per class, in label order.
        sources: where each image came from (a path), or empty when the data set has no files.

    Raises:
        DataError: when shapes, types and labels do not fit together.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3):
            raise DataError(
                f"images are {images.dtype} of shape {images.shape}; expected uint8 of shape (n, height, width, 1 or 3)"
            )
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise DataError(
                f"labels are {labels.dtype} of shape {labels.shape} for {len(images)} images;"
                " expected integers, one each"
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.class_names):
            raise DataError(
                f"labels run from {labels.min()} to {labels.max()}; expected 0 to {len(self.class_names) - 1}"
                f" for {len(self.class_names)} classes"
            )
        if self.sources and len(self.sources) != len(images):
            raise DataError(f"{len(self.sources)} sources for {len(images)} images; expected one each, or none")
        if labels.dtype != np.int32:
            # NumPy's own integers have 64 bits, and Keras's data sets label in uint8.
            object.__setattr__(self, "labels", labels.astype(np.int32))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def counts(self) -> NDArray[np.int64]:
        """How many images each class has: int64, shape (num_classes,)."""
        return np.bincount(self.labels, minlength=self.num_classes).astype(np.int64)

    def take(self, indices: Any) -> ImageSet:
        """The images at `indices` (anything numpy indexes with), in that order."""
        sources = tuple(np.asarray(self.sources, dtype=object)[indices]) if self.sources else ()
        return replace(self, images=self.images[indices], labels=self.labels[indices], sources=sources)


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """A named data set with its splits.

    Attributes:
        name: the name in the catalogue, or the folder it was read from.
        train: the training split, from which validation data is cut.
        test: the held-out split, scored once at the end.
        validation: a validation split that the data set brings itself, or None.
        origin: one line for people: where it came from and how it was verified.
    """

    name: str
    train: ImageSet
    test: ImageSet
    validation: ImageSet | None = None
    origin: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.train.class_names

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.image_shape


def spread_evenly(num_images: int, count: int) -> NDArray[np.int64]:
    """Positions of a few among many at even distances, as many data sets are sorted by class.

    Args:
        num_images: how many there are.
        count: how many are wanted.

    Returns:
        int64, rising from 0, shape (count,), or all positions where there are not so many.
    """
    chosen = min(count, num_images)
    return np.arange(chosen) * num_images // max(1, chosen)
