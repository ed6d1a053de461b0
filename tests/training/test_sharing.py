"""How a batch is cut into equal parts, and what fills them up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_data import numbered_images


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("num_images", "batch_size"), [(24, 8), (25, 8), (30, 8), (23, 5), (6, 6), (5, 5)])
def test_parts_are_the_batch(count: int, num_images: int, batch_size: int, keras_module: Any) -> None:
    from tinysight.training.feed import BatchSequence, Feed
    from tinysight.training.sharing import Share, SharedSequence

    feed = Feed(numbered_images(num_images), batch_size=batch_size, seed=1, one_hot=False)
    sizes = Share(rank=0, count=count).filled_sizes(feed)
    assert len(set(sizes.values())) == len(sizes)
    assert all(filled % count == 0 and filled >= size for size, filled in sizes.items())
    whole = BatchSequence(feed)
    shares = [SharedSequence(feed, Share(rank=rank, count=count)) for rank in range(count)]
    for index in range(feed.num_steps):
        pixels, labels = whole[index]
        parts = [share[index] for share in shares]
        assert {len(part) for part, _ in parts} == {sizes[len(pixels)] // count}
        for both, alone in zip((0, 1), (pixels, labels), strict=True):
            joined = np.concatenate([part[both] for part in parts])
            np.testing.assert_array_equal(joined[: len(alone)], alone)
            assert joined.dtype == alone.dtype
            assert not joined[len(alone) :].any()
