"""The queue in front of the model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from tinysight.serving.batching import Batcher


class Model:
    """Gives each image its own first pixel as the score, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.started, self.may_go = threading.Event(), threading.Event()
        self.may_go.set()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        self.started.set()
        assert self.may_go.wait(10)
        if (images == 255).any():
            raise ValueError("a bad batch")
        return images[:, 0, 0, :1].astype(np.float32)


def some(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(-1, 1, 1, 1)


def run(test: Callable[[Batcher, Model], Coroutine[Any, Any, None]], max_batch: int = 8) -> None:
    async def main() -> None:
        model = Model()
        async with Batcher(model, max_batch) as batcher:
            await asyncio.wait_for(test(batcher, model), 20)

    asyncio.run(main())


async def hold(batcher: Batcher, model: Model) -> asyncio.Task[Any]:
    """One request in the model, which waits there."""
    model.may_go.clear()
    task = asyncio.create_task(batcher.submit(some(0)))
    await asyncio.to_thread(model.started.wait, 10)
    return task


def test_lonely_requests_run_at_once_and_alone() -> None:
    async def test(batcher: Batcher, model: Model) -> None:
        for value in (1, 2, 3):
            assert (await batcher.submit(some(value))).tolist() == [[value]]
        assert model.batches == [1, 1, 1]

    run(test)


def test_what_comes_while_the_model_is_busy_is_one_batch_and_each_gets_its_own() -> None:
    async def test(batcher: Batcher, model: Model) -> None:
        first = await hold(batcher, model)
        others = [asyncio.create_task(batcher.submit(some(*values))) for values in ((1,), (2, 3), (4,))]
        await asyncio.sleep(0)
        model.may_go.set()
        assert (await first).tolist() == [[0]]
        assert [(await other).tolist() for other in others] == [[[1]], [[2], [3]], [[4]]]
        assert model.batches == [1, 4]

    run(test)


def test_a_batch_stops_growing_at_its_limit() -> None:
    async def test(batcher: Batcher, model: Model) -> None:
        first = await hold(batcher, model)
        others = [asyncio.create_task(batcher.submit(some(value))) for value in range(20)]
        await asyncio.sleep(0)
        model.may_go.set()
        assert [(await task)[0, 0] for task in [first, *others]] == [0, *range(20)]
        assert model.batches == [1, 8, 8, 4]

    run(test)


def test_an_error_reaches_its_batch_and_the_next_one_works() -> None:
    async def test(batcher: Batcher, model: Model) -> None:
        with pytest.raises(ValueError, match="a bad batch"):
            await batcher.submit(some(255))
        assert (await batcher.submit(some(7))).tolist() == [[7]]

    run(test)


def test_who_gave_up_costs_no_inference() -> None:
    async def test(batcher: Batcher, model: Model) -> None:
        first = await hold(batcher, model)
        gone = asyncio.create_task(batcher.submit(some(1)))
        stays = asyncio.create_task(batcher.submit(some(2)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        model.may_go.set()
        await first
        assert (await stays).tolist() == [[2]]
        assert model.batches == [1, 1]

    run(test)


def test_who_gave_up_while_the_model_ran_harms_nobody() -> None:
    async def test(batcher: Batcher, model: Model) -> None:
        first = await hold(batcher, model)
        first.cancel()
        await asyncio.sleep(0)
        model.may_go.set()
        assert (await batcher.submit(some(5))).tolist() == [[5]]

    run(test)
