"""From images to figures: one forward pass for each split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.predictions import Predictions
from tinysight.images import ImageSet
from tinysight.metrics.summary import Summary, summarize

CHUNK = 4096


def _in_chunks(images: ImageSet, predict: Callable[[Any], NDArray[np.float32]]) -> NDArray[np.float32]:
    """So that images which lie on disk are never in memory all at once."""
    starts = range(0, len(images), CHUNK)
    return np.concatenate([predict(np.asarray(images.images[start : start + CHUNK])) for start in starts])


def predict_splits(
    splits: dict[str, ImageSet], predict: Callable[[Any], NDArray[np.float32]]
) -> dict[str, Predictions]:
    """Predictions of each split, every image predicted once.

    Args:
        splits: images by the name of their split.
        predict: uint8 images (n, height, width, channels) to float32 probabilities (n, classes).
    """
    return {
        name: Predictions(probabilities=_in_chunks(images, predict), labels=images.labels)
        for name, images in splits.items()
    }


def summarize_splits(
    splits: dict[str, ImageSet], predictions: dict[str, Predictions], *, seed: int = 0
) -> dict[str, Summary]:
    """Scores of each split.

    Args:
        splits: images by the name of their split.
        predictions: of these.
        seed: of the bootstrap.

    Raises:
        InvalidValueError: when a prediction is not a number.
    """
    return {
        name: summarize(found.probabilities, found.labels, splits[name].class_names, seed=seed)
        for name, found in predictions.items()
    }
