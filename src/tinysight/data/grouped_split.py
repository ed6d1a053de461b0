"""A split that keeps the images of one object on one side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.splits import Indices
from tinysight.errors import DataError, InvalidValueError


def grouped_split(
    labels: NDArray[Any], groups: NDArray[Any], fraction: float, seed: int, class_names: Sequence[str] = ()
) -> tuple[Indices, Indices]:
    """Splits examples in two so that no group is on both sides and classes keep their shares as well as groups allow.

    Groups are visited in a seeded order, large ones first; each goes to the held-out side if that brings the classes'
    counts there nearer to their shares. Each class has at least one group on each side.

    Args:
        labels: integers >= 0, shape (n,).
        groups: what each example shows, of any type that sorts, shape (n,).
        fraction: the part to hold out, between 0 and 1.
        seed: >= 0; the same seed gives the same split on every platform.
        class_names: for error texts.

    Returns:
        (kept, held_out): int64 indices into `labels`, each sorted; together every index once.

    Raises:
        InvalidValueError: when the fraction or the seed is out of range.
        DataError: when a class has a single group, which cannot be on both sides.
    """
    if not 0 < fraction < 1 or seed < 0:
        raise InvalidValueError(f"fraction {fraction}, seed {seed}; expected a fraction between 0 and 1, a seed from 0")
    _, numbers = np.unique(groups, return_inverse=True)
    # One row per pair of group and class that occurs, in the order of groups.
    pairs, counts = np.unique(np.stack([numbers, np.asarray(labels, np.int64)]), axis=1, return_counts=True)
    _check_two_groups(pairs[1], class_names)
    is_held_out = _choose(pairs, counts, fraction, seed)[numbers]
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _check_two_groups(labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
    num_groups = np.bincount(labels)
    single = np.flatnonzero(num_groups == 1)
    if len(single):
        names = ", ".join(f"'{class_names[label]}'" if class_names else str(label) for label in single[:10])
        raise DataError(
            f"class {names}: all images show one object; expected at least two, one for each side of a split"
        )


def _choose(pairs: NDArray[np.int64], counts: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which groups are held out: bool, shape (number of groups,)."""
    num_groups, num_classes = int(pairs[0].max()) + 1, int(pairs[1].max()) + 1
    starts = np.searchsorted(pairs[0], np.arange(num_groups + 1))
    sizes = np.add.reduceat(counts, starts[:-1])
    order = np.lexsort((np.random.PCG64(seed).random_raw(num_groups), -sizes))
    totals = np.bincount(pairs[1], counts, num_classes)
    wanted = np.maximum(np.floor(totals * fraction + 0.5), np.minimum(totals, 1)).tolist()
    held, left = [0] * num_classes, np.bincount(pairs[1], minlength=num_classes).tolist()
    is_held_out = np.zeros(num_groups, bool)
    # Plain integers: a group has one class or a few, for which arrays would be slower.
    members, numbers = pairs[1].tolist(), counts.tolist()
    for group in order.tolist():
        own = range(starts[group], starts[group + 1])
        if _is_wanted([(members[i], numbers[i]) for i in own], held, wanted, left):
            is_held_out[group] = True
            for i in own:
                held[members[i]] += numbers[i]
        for i in own:
            left[members[i]] -= 1
    return _with_one_kept(is_held_out, pairs, starts)


def _is_wanted(own: list[tuple[int, int]], held: list[int], wanted: list[float], left: list[int]) -> bool:
    """Whether holding a group out brings its classes nearer to their shares, or is the last chance of one of them."""
    if any(held[label] == 0 and left[label] == 1 for label, _ in own):
        return True
    gain = sum(abs(wanted[label] - held[label]) - abs(wanted[label] - held[label] - count) for label, count in own)
    return not math.isclose(gain, 0.0) and gain > 0


def _with_one_kept(
    is_held_out: NDArray[np.bool_], pairs: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Gives groups back to the kept side for classes that have none there, and checks that none is lost by that."""
    for _ in range(len(is_held_out)):
        kept = np.bincount(pairs[1], ~is_held_out[pairs[0]])
        lacking = np.flatnonzero(kept == 0)
        if not len(lacking):
            break
        is_held_out[pairs[0][pairs[1] == lacking[0]][0]] = False
    held = np.bincount(pairs[1], is_held_out[pairs[0]])
    if (held == 0).any():
        raise DataError("the groups overlap so much between classes that no split has every class on both sides")
    return is_held_out
