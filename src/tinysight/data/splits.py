"""Which images train and which validate: index arrays, the same on every platform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import DataError, InvalidValueError

Indices = NDArray[np.int64]


def stratified_split(labels: NDArray[Any], held_out: float | int, seed: int) -> tuple[Indices, Indices]:
    """Splits examples in two so that every class keeps its share on both sides.

    Each class gives its share by largest remainder, at least one example to each side. The choice within a class comes
    from the raw words of PCG64, whose stream NumPy keeps across versions and platforms (NEP 19).

    Args:
        labels: integers >= 0, shape (n,).
        held_out: the part to hold out: a fraction between 0 and 1 (float), or how many examples (int).
        seed: >= 0; the same seed gives the same split.

    Returns:
        (kept, held_out): int64 indices into `labels`, each sorted; together every index once.

    Raises:
        InvalidValueError: when the fraction, the count or the seed is out of range.
        DataError: when a class has a single example, which cannot be on both sides.
    """
    if seed < 0:
        raise InvalidValueError(f"seed is {seed}; expected 0 or more")
    counts = np.bincount(np.asarray(labels, np.int64))
    total = _number_held_out(held_out, len(labels))
    quota = _quotas(counts, total)
    keys = np.random.PCG64(seed).random_raw(len(labels))
    order = np.lexsort((keys, labels))
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_held_out = np.zeros(len(labels), bool)
    is_held_out[order] = rank < np.repeat(quota, counts)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def last_fraction_split(num_examples: int, fraction: float) -> tuple[Indices, Indices]:
    """Keras's `validation_split`: the last part of the examples, unshuffled, is held out.

    Args:
        num_examples: how many there are.
        fraction: the part to hold out, between 0 and 1.

    Returns:
        (kept, held_out): int64 indices 0..k-1 and k..num_examples-1 with k = floor(num_examples * (1 - fraction)), as
        in keras/src/trainers/data_adapters/array_slicing.py.

    Raises:
        InvalidValueError: when the fraction is out of range or leaves one side empty.
    """
    if not 0 < fraction < 1:
        raise InvalidValueError(f"validation fraction is {fraction}; expected a number between 0 and 1")
    num_kept = math.floor(num_examples * (1.0 - fraction))
    if num_kept in (0, num_examples):
        raise InvalidValueError(
            f"validation fraction {fraction} of {num_examples} examples leaves one side empty; take another fraction"
        )
    everything = np.arange(num_examples, dtype=np.int64)
    return everything[:num_kept], everything[num_kept:]


def _number_held_out(held_out: float | int, num_examples: int) -> int:
    if isinstance(held_out, float | np.floating):
        if not 0 < held_out < 1:
            raise InvalidValueError(f"held-out fraction is {held_out}; expected a number between 0 and 1")
        return math.floor(float(held_out) * num_examples + 0.5)
    if not 0 < held_out < num_examples:
        raise InvalidValueError(f"held-out count is {held_out}; expected 1 to {num_examples - 1}")
    return int(held_out)


def _quotas(counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """How many of each class are held out: largest remainder, in integers, at least one on each side."""
    present = np.flatnonzero(counts)
    if len(present) == 0:
        raise DataError("no examples to split")
    single = np.flatnonzero(counts == 1)
    if len(single):
        raise DataError(
            f"class {single[0]} has a single example; expected at least two, one for each side of a split:"
            " add images to it or leave it out"
        )
    num_examples = int(counts.sum())
    if not len(present) <= total <= num_examples - len(present):
        raise InvalidValueError(
            f"{total} of {num_examples} examples held out cannot leave one of each of {len(present)} classes on both"
            f" sides; expected {len(present)} to {num_examples - len(present)}"
        )
    quota = counts * total // num_examples
    by_remainder = np.argsort(-(counts * total % num_examples), kind="stable")
    quota[by_remainder[: total - int(quota.sum())]] += 1
    lowest = np.minimum(counts, 1)
    quota = np.clip(quota, lowest, counts - lowest)
    return _with_sum(quota, lowest, counts - lowest, total)


def _with_sum(
    quota: NDArray[np.int64], lowest: NDArray[np.int64], highest: NDArray[np.int64], total: int
) -> NDArray[np.int64]:
    """Gives back what the clipping took: one at a time, from or to the class with the most room."""
    while (excess := int(quota.sum()) - total) != 0:
        if excess > 0:
            quota[np.argmax(quota - lowest)] -= 1
        else:
            quota[np.argmax(highest - quota)] += 1
    return quota
