from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight.data.grouped_split import grouped_split
from tinysight.errors import DataError, InvalidValueError


@given(seed=st.integers(0, 1000), num_classes=st.integers(2, 6), fraction=st.floats(0.05, 0.6))
def test_no_group_is_divided_and_every_class_is_on_both_sides(seed: int, num_classes: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    group_class = np.concatenate([np.repeat(np.arange(num_classes), 2), rng.integers(0, num_classes, 20)])
    groups = np.repeat(np.arange(len(group_class)), rng.integers(1, 6, len(group_class)))
    labels = group_class[groups]
    kept, held_out = grouped_split(labels, groups, fraction, seed)
    assert sorted([*kept, *held_out]) == list(range(len(labels)))
    assert not set(groups[kept]) & set(groups[held_out])
    assert set(labels[kept]) == set(labels[held_out]) == set(labels)
    again = grouped_split(labels, groups, fraction, seed)
    np.testing.assert_array_equal(held_out, again[1])


def test_classes_keep_their_shares() -> None:
    groups = np.arange(3000) // 3
    labels = (groups % 10 == 0).astype(np.int64)
    _, held_out = grouped_split(labels, groups, 0.2, seed=1)
    assert np.bincount(labels[held_out]).tolist() == pytest.approx([540, 60], abs=3)
    _, other = grouped_split(labels, groups, 0.2, seed=2)
    assert set(held_out) != set(other)


def test_groups_of_several_classes_stay_whole() -> None:
    groups = np.array(["x"] * 4 + ["y"] * 4 + ["z"] * 4)
    labels = np.array([0, 0, 1, 1] * 3)
    kept, held_out = grouped_split(labels, groups, 0.3, seed=0)
    assert len(held_out) == 4
    assert len(set(groups[held_out])) == 1
    assert not set(groups[kept]) & set(groups[held_out])


def test_a_class_of_one_group_is_named() -> None:
    with pytest.raises(DataError, match="class 'cat': all images show one object"):
        grouped_split(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2]), 0.5, 0, ["dog", "cat"])
    with pytest.raises(InvalidValueError, match="expected a fraction"):
        grouped_split(np.array([0, 0]), np.array([0, 1]), 1.0, 0)


def test_groups_that_cannot_be_divided_are_an_error() -> None:
    # Each class is in both of only two groups of the other: one of the classes is always on one side.
    groups, labels = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 2, 2])
    labels = np.append(labels, 1)
    groups = np.append(groups, 2)
    with pytest.raises(DataError, match="overlap so much"):
        grouped_split(labels, groups, 0.3, 0)
