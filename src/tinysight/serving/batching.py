"""Dynamic batching: a lonely request runs at once; those that come while the model is busy form the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Job:
    images: Images
    result: asyncio.Future[Scores]


class Batcher:
    """Runs a model in one thread, over whatever has gathered since its last batch.

    There is no waiting for company: batches grow because the model is busy, so an idle service adds no latency.

    Args:
        run: the model, uint8 (n, height, width, channels) to float32 (n, classes).
        max_batch: a batch stops growing at this many images; one request is never split here.
        on_batch: called with the size of every batch that was run.
    """

    def __init__(
        self,
        run: Callable[[Images], Scores],
        max_batch: int = 256,
        on_batch: Callable[[int], object] = lambda size: None,
    ) -> None:
        self._run, self._max_batch, self._on_batch = run, max_batch, on_batch
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Batcher:
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops; whoever still waits is cancelled, so close only when all requests are answered."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait().result.cancel()
        self._thread.shutdown()

    async def submit(self, images: Images) -> Scores:
        """The scores of some images, in their order; raises what the model raised."""
        job = _Job(images, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(job)
        return await job.result

    async def _work(self) -> None:
        while True:
            jobs = [await self._queue.get()]
            num_images = len(jobs[0].images)
            while num_images < self._max_batch and not self._queue.empty():
                jobs.append(self._queue.get_nowait())
                num_images += len(jobs[-1].images)
            await self._run_batch(jobs)

    async def _run_batch(self, jobs: list[_Job]) -> None:
        # A client that gave up, or ran out of time, costs no inference.
        jobs = [job for job in jobs if not job.result.done()]
        if not jobs:
            return
        images = jobs[0].images if len(jobs) == 1 else np.concatenate([job.images for job in jobs])
        try:
            scores = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, images)
        except Exception as error:  # Whatever it is, it belongs to those who wait, and the worker must live on.
            _answer(jobs, [error] * len(jobs))
        except asyncio.CancelledError:
            for job in jobs:
                job.result.cancel()
            raise
        else:
            self._on_batch(len(images))
            ends = np.cumsum([len(job.images) for job in jobs])
            _answer(jobs, np.split(scores, ends[:-1]))


def _answer(jobs: Sequence[_Job], outcomes: Sequence[Scores | Exception]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.result.done():  # Cancelled while the model ran.
            continue
        if isinstance(outcome, Exception):
            job.result.set_exception(outcome)
        else:
            job.result.set_result(outcome)
