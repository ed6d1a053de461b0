"""Predictions are stored and scored once, every image counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_data import small_data

from tinysight.errors import TinysightError
from tinysight.evaluation.predictions import Predictions, read_predictions, write_predictions
from tinysight.evaluation.results import predict_splits, summarize_splits


def test_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stored = {
        name: Predictions(
            probabilities=rng.dirichlet(np.ones(4), count).astype(np.float32),
            labels=rng.integers(0, 4, count).astype(np.int32),
        )
        for name, count in (("test", 9), ("validation", 5))
    }
    write_predictions(tmp_path / "p.npz", stored)
    found = read_predictions(tmp_path / "p.npz")
    assert list(found) == ["test", "validation"]
    for name, predictions in found.items():
        np.testing.assert_array_equal(predictions.probabilities, stored[name].probabilities)
        np.testing.assert_array_equal(predictions.labels, stored[name].labels)


def test_each_image_once() -> None:
    data = small_data()
    asked = []

    def predict(images: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        asked.append(len(images))
        return np.full((len(images), 4), [0.7, 0.1, 0.1, 0.1], np.float32)

    splits = {"test": data.test}
    predictions = predict_splits(splits, predict)
    summaries = summarize_splits(splits, predictions)
    assert asked == [20]
    assert summaries["test"].num_images == summaries["test"].confusion.sum() == 20
    assert summaries["test"].confusion[:, 0].tolist() == [5] * 4
    assert summaries["test"].figures["accuracy"].value == 0.25
    np.testing.assert_array_equal(predictions["test"].labels, data.test.labels)


def test_what_is_no_probability_is_said() -> None:
    splits = {"test": small_data().test}
    predictions = predict_splits(splits, lambda images: np.full((len(images), 4), np.nan, np.float32))
    with pytest.raises(TinysightError, match="expected a softmax's output"):
        summarize_splits(splits, predictions)
