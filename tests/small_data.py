"""Small, seeded data sets for tests that train in milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinysight.images import DataSet, ImageSet
from tinysight.recipe import Recipe, make_recipe


def numbered_images(count: int, *, side: int = 8, channels: int = 1, num_classes: int = 3) -> ImageSet:
    """Image number i has the value i in its upper left corner and 255 right of it, so that it can be told, and told
    from its mirror image."""
    assert count <= 255
    images = np.zeros((count, side, side, channels), np.uint8)
    images[:, 0, 0, :] = np.arange(count)[:, None]
    images[:, 0, 1, :] = 255
    labels = (np.arange(count) % num_classes).astype(np.int32)
    return ImageSet(images=images, labels=labels, class_names=tuple("abcdefghij"[:num_classes]))


def stripes(count: int, *, side: int = 9, channels: int = 3, num_classes: int = 4, seed: int = 0) -> ImageSet:
    """Noise with a bright stripe whose row is the class: easy to learn."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (count, side, side, channels)).astype(np.uint8)
    labels = (np.arange(count) % num_classes).astype(np.int32)
    images[np.arange(count), labels * 2] = 255
    return ImageSet(images=images, labels=labels, class_names=("ant", "bee", "cat", "dog", "eel")[:num_classes])


def small_data(**arguments: int) -> DataSet:
    return DataSet(
        name="stripes", train=stripes(40, **arguments), test=stripes(20, seed=1, **arguments), origin="made for tests"
    )


def small_recipe(**fields: Any) -> Recipe:
    """A fast net of a few filters with pooling after its convolutions, trained for one epoch in batches of 20."""
    return make_recipe(
        {"model": "fast", "widths": (4, 6), "stem_filters": 6, "stem_strides": 1, "group_convolutions": 2,
         "group_pooling": "after", "optimizer": "muon", "learning_rate": 0.1, "batch_size": 20, "epochs": 1,
         "precision": "float32", **fields}
    )  # fmt: skip
