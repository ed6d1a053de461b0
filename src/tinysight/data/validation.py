"""Which images of a data set are trained on and which validate, as a recipe asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.data.grouped_split import grouped_split
from tinysight.data.own import OwnData, take
from tinysight.data.splits import Indices, last_fraction_split, stratified_split
from tinysight.errors import DataError
from tinysight.files import atomic_path
from tinysight.images import DataSet, ImageSet
from tinysight.recipe import Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSplit:
    """The training split as it is used.

    Attributes:
        images: the data set's training split, in which `train_indices` say what the net learns from.
        validation: what is scored while it learns, or None.
        train_indices: int64, positions in `images`.
        validation_indices: int64, positions of `validation` there; empty when it is another split, or none.
        validation_source: "train" (held out of the training split), "validation" (the data set's own), "test" or
            "none".
    """

    images: ImageSet
    validation: ImageSet | None
    train_indices: NDArray[np.int64]
    validation_indices: NDArray[np.int64]
    validation_source: str

    @property
    def num_train(self) -> int:
        return len(self.train_indices)

    def train_counts(self) -> NDArray[np.int64]:
        """How many training images each class has: int64, shape (num_classes,)."""
        return np.bincount(self.images.labels[self.train_indices], minlength=self.images.num_classes)


def split_for_training(recipe: Recipe, data: DataSet) -> TrainingSplit:
    """Cuts validation data as `recipe.validation` says; a split that the data set brings itself is used as it is.

    Raises:
        InvalidValueError, DataError: when a class has too few images to be on both sides.
    """
    everything, nothing = np.arange(len(data.train)), np.arange(0)
    if recipe.validation in ("stratified", "last") and data.validation is None:
        return _held_out(recipe, data)
    validation, source = {
        "none": (None, "none"),
        "test": (data.test, "test"),
    }.get(recipe.validation, (data.validation, "validation"))
    return TrainingSplit(
        images=data.train,
        validation=validation,
        train_indices=everything,
        validation_indices=nothing,
        validation_source=source,
    )


def _held_out(recipe: Recipe, data: DataSet) -> TrainingSplit:
    groups = data.train_groups if isinstance(data, OwnData) else None
    if groups is not None:
        kept, held_out = grouped_split(
            data.train.labels, groups, recipe.validation_split, recipe.seed, data.class_names
        )
    elif recipe.validation == "last":
        kept, held_out = last_fraction_split(len(data.train), recipe.validation_split)
    else:
        kept, held_out = _stratified(recipe, data)
    return TrainingSplit(
        images=data.train,
        validation=take(data.train, held_out),
        train_indices=kept,
        validation_indices=held_out,
        validation_source="train",
    )


def _stratified(recipe: Recipe, data: DataSet) -> tuple[Indices, Indices]:
    counts = data.train.counts()
    if not counts.any():
        raise DataError(f"'{data.name}' has no image to train on; expected at least two of each class")
    few = [f"'{data.class_names[label]}'" for label in np.flatnonzero(counts == 1)]
    if few:
        raise DataError(
            f"'{data.name}': the class {', '.join(few[:10])} has a single image to train on; expected at least two, one"
            " of them held out for validation: add images of it, or train with --set validation=none"
        )
    num_wanted = int(recipe.validation_split * len(data.train) + 0.5)
    num_classes = int(np.count_nonzero(counts))
    # Small classes give more than their share, so that each has an image on both sides.
    num_held_out = min(max(num_wanted, num_classes), len(data.train) - num_classes)
    return stratified_split(data.train.labels, num_held_out, recipe.seed)


def write_split(path: Path, split: TrainingSplit) -> None:
    """Stores the indices as a NumPy archive with `train` and `validation`."""
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, train=split.train_indices, validation=split.validation_indices)


def read_split(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(train indices, validation indices) as `write_split` stored them."""
    with np.load(path, allow_pickle=False) as archive:
        return archive["train"], archive["validation"]


def same_split(path: Path, split: TrainingSplit) -> bool:
    """Whether the stored indices are those of `split`."""
    train, validation = read_split(path)
    return np.array_equal(train, split.train_indices) and np.array_equal(validation, split.validation_indices)
