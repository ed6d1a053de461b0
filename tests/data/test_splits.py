from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tinysight.data.splits import last_fraction_split, stratified_split
from tinysight.errors import DataError, InvalidValueError

SEEDED = settings(derandomize=True, database=None, deadline=None)
CLASS_SIZES = st.lists(st.one_of(st.just(0), st.integers(2, 60)), min_size=1, max_size=12).filter(any)


def shuffled_labels(sizes: list[int], seed: int) -> NDArray[Any]:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).permutation(labels)


@settings(SEEDED, max_examples=200)
@given(sizes=CLASS_SIZES, seed=st.integers(0, 2**40), data=st.data())
def test_every_class_keeps_its_share(sizes: list[int], seed: int, data: st.DataObject) -> None:
    labels = shuffled_labels(sizes, seed % 1000)
    num_present = sum(size > 0 for size in sizes)
    total = data.draw(st.integers(num_present, len(labels) - num_present))
    kept, held_out = stratified_split(labels, total, seed)
    assert len(held_out) == total
    assert np.array_equal(np.sort(np.concatenate([kept, held_out])), np.arange(len(labels)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held_out) > 0).all()
    counts = np.bincount(labels[held_out], minlength=len(sizes))
    quotas = np.array(sizes) * total / len(labels)
    present = np.array(sizes) > 0
    assert (counts[present] >= 1).all()
    assert (counts[present] <= np.array(sizes)[present] - 1).all()
    if (quotas[present] >= 1).all() and (quotas[present] <= np.array(sizes)[present] - 1).all():
        # No class needed a helping hand, so each is within one of its exact share.
        assert (np.abs(counts - quotas) < 1).all()


@settings(SEEDED, max_examples=50)
@given(seed=st.integers(0, 2**63), fraction=st.floats(0.05, 0.95))
def test_a_seed_repeats_itself(seed: int, fraction: float) -> None:
    labels = np.arange(200) % 7
    first, second = (stratified_split(labels, fraction, seed) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_split_is_the_same_on_every_platform() -> None:
    _, held_out = stratified_split(np.arange(40) % 4, 0.2, seed=7)
    assert held_out.tolist() == [6, 10, 21, 23, 24, 32, 37, 39]


def test_seeds_differ() -> None:
    labels = np.arange(1000) % 10
    assert not np.array_equal(stratified_split(labels, 0.1, 0)[1], stratified_split(labels, 0.1, 1)[1])


def test_largest_remainder() -> None:
    # Shares of 5 in 50: 2.6, 1.4, 1.0.
    labels = np.repeat([0, 1, 2], [26, 14, 10])
    _, held_out = stratified_split(labels, 5, seed=0)
    assert np.bincount(labels[held_out]).tolist() == [3, 1, 1]


def test_a_rare_class_is_on_both_sides() -> None:
    labels = np.repeat([0, 1], [98, 2])
    for held_out in (0.01 * 2, 0.98):
        sides = stratified_split(labels, held_out, seed=0)
        assert [np.bincount(labels[side], minlength=2)[1] for side in sides] == [1, 1]


def test_a_single_example_cannot_be_on_both_sides() -> None:
    with pytest.raises(DataError, match="class 2 has a single example"):
        stratified_split(np.array([0, 0, 1, 1, 2]), 0.5, 0)


@pytest.mark.parametrize("held_out", [0.0, 1.0, -0.1, 1.5, float("nan"), 0, 100, -3, 101])
def test_out_of_range_is_refused(held_out: float) -> None:
    with pytest.raises(InvalidValueError, match="held-out"):
        stratified_split(np.arange(100) % 10, held_out, 0)


@pytest.mark.parametrize("held_out", [0.05, 9, 91, 0.95])
def test_too_few_for_one_of_each_class(held_out: float) -> None:
    with pytest.raises(InvalidValueError, match="expected 10 to 90"):
        stratified_split(np.arange(100) % 10, held_out, 0)


def test_no_examples_and_negative_seed() -> None:
    with pytest.raises(DataError, match="no examples"):
        stratified_split(np.array([], np.int32), 0.5, 0)
    with pytest.raises(InvalidValueError, match="seed is -1"):
        stratified_split(np.arange(10) % 2, 0.5, -1)


def test_last_fraction_is_the_end_unshuffled() -> None:
    kept, held_out = last_fraction_split(50_000, 0.2)
    assert kept.tolist() == list(range(40_000))
    assert held_out.tolist() == list(range(40_000, 50_000))


@settings(SEEDED, max_examples=100)
@given(num_examples=st.integers(2, 10_000), fraction=st.floats(0.001, 0.999))
def test_last_fraction_rounds_as_keras(num_examples: int, fraction: float) -> None:
    num_kept = int(np.floor(num_examples * (1.0 - fraction)))
    if num_kept in (0, num_examples):
        with pytest.raises(InvalidValueError, match="one side empty"):
            last_fraction_split(num_examples, fraction)
    else:
        kept, held_out = last_fraction_split(num_examples, fraction)
        assert (len(kept), len(held_out)) == (num_kept, num_examples - num_kept)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_last_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(InvalidValueError, match="validation fraction"):
        last_fraction_split(100, fraction)
