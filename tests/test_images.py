"""Images in memory: positions that stand for many."""

from __future__ import annotations

import numpy as np
import pytest

from tinysight.images import spread_evenly


@pytest.mark.parametrize(
    ("num_images", "count", "expected"),
    [(10, 3, [0, 3, 6]), (1000, 4, [0, 250, 500, 750]), (3, 5, [0, 1, 2]), (1, 1, [0]), (0, 3, []), (5, 0, [])],
)
def test_positions_at_even_distances(num_images: int, count: int, expected: list[int]) -> None:
    places = spread_evenly(num_images, count)
    assert places.dtype == np.int64
    assert places.tolist() == expected


def test_every_class_of_a_sorted_split_is_there() -> None:
    labels = np.repeat(np.arange(12), 35)
    assert set(labels[spread_evenly(len(labels), 15)]) == set(range(12))
