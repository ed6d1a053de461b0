"""Predictions are computed once and stored; every figure is read from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.files import atomic_path


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a model said about the images of one split, in their order.

    Attributes:
        probabilities: float32, shape (n, classes).
        labels: int32, shape (n,), the true classes.
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int32]


def write_predictions(path: Path, splits: dict[str, Predictions]) -> None:
    """Stores the predictions of each split ("test", "validation") in one NumPy archive."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, predictions in splits.items():
        arrays[f"{name}_probabilities"] = predictions.probabilities
        arrays[f"{name}_labels"] = predictions.labels
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]


def read_predictions(path: Path) -> dict[str, Predictions]:
    """What `write_predictions` stored, by split."""
    with np.load(path, allow_pickle=False) as archive:
        names = [key.removesuffix("_labels") for key in archive.files if key.endswith("_labels")]
        return {
            name: Predictions(probabilities=archive[f"{name}_probabilities"], labels=archive[f"{name}_labels"])
            for name in names
        }
