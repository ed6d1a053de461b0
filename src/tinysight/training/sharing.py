"""One step on several processes: each reads its own part of every batch, together they compute what one would.

Keras on JAX sees the batch as a whole, whichever process holds which part: losses, gradients, the moments of batch
normalisation, metrics and random draws are those of the whole batch. What a process must do is give parts of equal
size. A batch that does not divide is filled up with blank images, which the compiled step cuts off again before
anything is computed, so that nothing needs weights or masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinysight.training.feed import BatchSequence, Feed
from tinysight.training.trainee import Trainee


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which part of every batch is this process's.

    Attributes:
        rank: its place among the processes, from 0.
        count: how many there are.
    """

    rank: int
    count: int

    def filled_sizes(self, feed: Feed) -> dict[int, int]:
        """Size of a batch of `feed` -> the size that it is filled up to: a multiple of `count`, another one for each.

        They differ so that a compiled step can tell by its shape what it must cut off.
        """
        sizes = {min(feed.batch_size, feed.num_images), feed.num_images % feed.batch_size} - {0}
        return self._filled(sorted(sizes, reverse=True))

    def _filled(self, sizes: Iterable[int]) -> dict[int, int]:
        filled: dict[int, int] = {}
        for size in sizes:
            found = -(-size // self.count) * self.count
            filled[size] = found + self.count if found in filled.values() else found
        return filled

    def part(self, visited: NDArray[np.int64], filled: int) -> NDArray[np.int64]:
        """What this process reads of a batch that is filled up to `filled`."""
        each = filled // self.count
        return visited[self.rank * each : (self.rank + 1) * each]


class SharedSequence(BatchSequence):
    """This process's part of every batch."""

    def __init__(self, feed: Feed, share: Share) -> None:
        super().__init__(feed)
        self.share, self.filled = share, share.filled_sizes(feed)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        visited = self.visited(index)
        filled = self.filled[len(visited)]
        pixels, labels = self.feed.look_up(self.share.part(visited, filled))
        missing = filled // self.share.count - len(pixels)
        return (_with_blanks(pixels, missing), _with_blanks(labels, missing)) if missing else (pixels, labels)


def _with_blanks(values: NDArray[Any], count: int) -> NDArray[Any]:
    return np.concatenate([values, np.zeros((count, *values.shape[1:]), values.dtype)])


class SharedTrainee(Trainee):
    """A trainee whose steps cut off what batches were filled up with.

    Attributes:
        train_sizes, test_sizes: size that a batch was filled up to -> its own size.
    """

    train_sizes: dict[int, int]
    test_sizes: dict[int, int]

    def set_feeds(self, share: Share, train: Feed, validation: Feed | None) -> None:
        """Tells which batches come; before the first one."""
        self.train_sizes, self.test_sizes = (
            {} if feed is None else {filled: size for size, filled in share.filled_sizes(feed).items()}
            for feed in (train, validation)
        )

    def train_step(self, state: Any, data: Any) -> Any:
        return super().train_step(state, _cut(data, self.train_sizes))

    def test_step(self, state: Any, data: Any) -> Any:
        return super().test_step(state, _cut(data, self.test_sizes))


def _cut(data: Any, sizes: dict[int, int]) -> Any:
    filled = data[0].shape[0]
    size = sizes.get(filled, filled)
    return data if size == filled else keras.tree.map_structure(lambda value: value[:size], data)
