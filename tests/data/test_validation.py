"""Which images train and which validate, as a recipe asks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from own_images import make_classes
from small_data import small_data, stripes

from tinysight.data.source import load_data
from tinysight.data.validation import read_split, split_for_training, write_split
from tinysight.errors import DataError, TinysightError
from tinysight.recipe import make_recipe


def test_stratified_and_seeded() -> None:
    data = small_data()
    split = split_for_training(make_recipe({"validation_split": 0.2, "seed": 1}), data)
    assert (split.num_train, split.validation_source) == (32, "train")
    assert sorted([*split.train_indices, *split.validation_indices]) == list(range(40))
    assert split.train_counts().tolist() == [8] * 4
    assert split.validation is not None
    np.testing.assert_array_equal(split.validation.images, data.train.images[split.validation_indices])
    again = split_for_training(make_recipe({"validation_split": 0.2, "seed": 1}), data)
    other = split_for_training(make_recipe({"validation_split": 0.2, "seed": 2}), data)
    np.testing.assert_array_equal(split.validation_indices, again.validation_indices)
    assert not np.array_equal(split.validation_indices, other.validation_indices)


def test_last() -> None:
    split = split_for_training(make_recipe({"validation": "last", "validation_split": 0.2}), small_data())
    assert split.train_indices.tolist() == list(range(32))
    assert split.validation_indices.tolist() == list(range(32, 40))


@pytest.mark.parametrize("kind", ["none", "test"])
def test_nothing_held_out(kind: str) -> None:
    data = small_data()
    split = split_for_training(make_recipe({"validation": kind}), data)
    assert (split.num_train, len(split.validation_indices), split.validation_source) == (40, 0, kind)
    assert split.validation is (data.test if kind == "test" else None)


@pytest.mark.parametrize("kind", ["stratified", "last"])
def test_a_split_that_the_data_brings_is_used(kind: str) -> None:
    data = replace(small_data(), validation=stripes(8, seed=5))
    split = split_for_training(make_recipe({"validation": kind}), data)
    assert split.validation is data.validation
    assert (split.num_train, split.validation_source) == (40, "validation")


def test_too_few_images() -> None:
    data = small_data()
    few = replace(data, train=data.train.take(np.arange(5)))
    expected = r"'stripes': the class 'bee', 'cat', 'dog' has a single image to train on; .* --set validation=none"
    with pytest.raises(DataError, match=expected):
        split_for_training(make_recipe({}), few)
    with pytest.raises(DataError, match="'stripes' has no image to train on"):
        split_for_training(make_recipe({}), replace(data, train=data.train.take(np.arange(0))))
    with pytest.raises(TinysightError, match="leaves one side empty"):
        split_for_training(make_recipe({"validation": "last", "validation_split": 0.999}), few)


@pytest.mark.parametrize(("fraction", "per_class"), [(0.01, 1), (0.99, 9)])
def test_a_share_too_small_for_the_classes_is_one_of_each(fraction: float, per_class: int) -> None:
    split = split_for_training(make_recipe({"validation_split": fraction}), small_data())
    assert split.validation is not None
    assert split.validation.counts().tolist() == [per_class] * 4
    assert split.train_counts().tolist() == [10 - per_class] * 4


def test_three_images_of_a_class_are_enough(tmp_path: Path) -> None:
    recipe = make_recipe({})
    split = split_for_training(recipe, load_data(make_classes(tmp_path / "three", {"a": 40, "b": 40, "rare": 3})))
    assert split.validation is not None
    assert (split.train_counts()[2], split.validation.counts()[2]) == (1, 1)
    two = load_data(make_classes(tmp_path / "two", {"a": 40, "b": 40, "rare": 2}))
    with pytest.raises(DataError, match="the class 'rare' has a single image to train on"):
        split_for_training(recipe, two)
    assert split_for_training(recipe.replace(validation="none"), two).num_train == 66


def test_round_trip(tmp_path: Path) -> None:
    split = split_for_training(make_recipe({}), small_data())
    write_split(tmp_path / "splits.npz", split)
    train, validation = read_split(tmp_path / "splits.npz")
    np.testing.assert_array_equal(train, split.train_indices)
    np.testing.assert_array_equal(validation, split.validation_indices)
