"""Run folders as a training leaves them, made of random images and predictions in a moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinysight.data.source import load_data
from tinysight.data.validation import TrainingSplit, write_split
from tinysight.evaluation.predictions import Predictions, write_predictions
from tinysight.files import write_json, write_text
from tinysight.images import DataSet
from tinysight.metrics.summary import summarize
from tinysight.recipe import load_recipe, to_toml
from tinysight.runs import Run
from tinysight.training.history import write_history


@dataclass(frozen=True)
class Made:
    run: Run
    data: DataSet
    predictions: Predictions


def make_data(path: Path, class_names: tuple[str, ...], *, shape=(12, 12, 3), num_test=60, seed=0) -> DataSet:
    """Random images on disk, every class in both splits."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, num_images in (("train", 2 * len(class_names)), ("test", max(num_test, len(class_names)))):
        labels = np.arange(num_images) % len(class_names)
        arrays[f"x_{split}"] = rng.integers(0, 256, (num_images, *shape)).astype(np.uint8)
        arrays[f"y_{split}"] = np.asarray(class_names)[labels]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return load_data(path)


def random_predictions(labels, num_classes: int, *, skill=2.0, seed=0) -> Predictions:
    """A softmax over noise, with `skill` added to the true class."""
    logits = np.random.default_rng(seed).normal(size=(len(labels), num_classes))
    logits[np.arange(len(labels)), labels] += skill
    scores = np.exp(logits)
    probabilities = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    return Predictions(probabilities=probabilities, labels=np.asarray(labels, np.int32))


def make_run(
    folder: Path,
    data: DataSet,
    *,
    recipe="tensorflow",
    epochs=4,
    validation="train",
    skill=2.0,
    seed=0,
    finished=True,
    **changes,
) -> Made:
    """A run folder without models; `finished=False` leaves what a run that died after two epochs leaves."""
    run = Run(folder)
    run.folder.mkdir(parents=True)
    used = load_recipe(recipe, epochs=epochs, seed=seed, data=data.name, **changes)
    write_text(run.recipe, to_toml(used))
    num_classes, images = len(data.class_names), data.test
    record = getattr(data, "to_record", lambda: None)()
    counts = {
        "num_train": len(data.train),
        "num_test": len(images),
        "num_validation": 0 if validation == "none" else 20,
    }
    write_json(
        run.data,
        {
            "name": data.name,
            "origin": data.origin,
            "data_dir": None,
            "image_shape": list(data.image_shape),
            "class_names": list(data.class_names),
            **counts,
            "validation": validation,
            "train_counts": data.train.counts().tolist(),
            "test_counts": images.counts().tolist(),
            "own": record,
        },
    )
    write_json(run.environment, environment(seed, finished, epochs))
    nothing = np.arange(0)
    split = TrainingSplit(
        images=data.train, validation=None, train_indices=np.arange(len(data.train)), validation_indices=nothing,
        validation_source=validation,
    )  # fmt: skip
    write_split(run.splits, split)
    write_history(run.history, history(2 if not finished else epochs, validation))
    predictions = random_predictions(images.labels, num_classes, skill=skill, seed=seed)
    if finished:
        _finish(run, data, predictions, validation, num_classes, seed)
    return Made(run, data, predictions)


def _finish(run: Run, data: DataSet, predictions: Predictions, validation: str, num_classes: int, seed: int) -> None:
    stored = {"test": predictions}
    if validation in ("train", "validation"):
        stored["validation"] = random_predictions(np.arange(40) % num_classes, num_classes, seed=seed + 1)
    write_predictions(run.predictions, stored)
    summaries = {
        name: summarize(found.probabilities, found.labels, data.class_names).to_dict() for name, found in stored.items()
    }
    write_json(run.metrics, summaries)
    accuracy = summaries["test"]["figures"]["accuracy"]["value"]
    run.finish({"run": str(run.folder), "parameters": 1234, "interrupted": False, "test_accuracy": accuracy})


def history(epochs: int, validation: str):
    rows = []
    for epoch in range(1, epochs + 1):
        row = {
            "epoch": epoch,
            "accuracy": 1 - 0.5 / epoch,
            "loss": 1 / epoch,
            "learning_rate": 0.001 / epoch,
            "seconds": 2.5,
        }
        if validation != "none":
            row |= {"val_accuracy": 0.6 - 0.2 / epoch, "val_loss": 1.2 / epoch + 0.1 * epoch}
        rows.append(row)
    return rows


def environment(seed: int, finished: bool, epochs: int):
    record = {
        "started": "2026-01-02T03:04:05+00:00",
        "command": ["tinysight", "train", "tensorflow"],
        "seed": seed,
        "backend": "tensorflow",
        "devices": ["cpu: a processor"],
        "python": "3.11.7",
        "platform": "a system",
        "versions": {"tinysight": "0.1.0", "keras": "3.15.0"},
    }
    if finished:
        record |= {"seconds": 75.0, "epochs_completed": epochs, "interrupted": False, "peak_memory_bytes": 123_456_789}
    return record
