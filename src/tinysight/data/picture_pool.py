"""Pictures decoded by several processes at once, in order and in bounded memory.

Threads do not help where pictures are small: the work per picture is Python's own, which one thread does at a time. The
processes are started by name rather than by multiprocessing, which on macOS and Windows would run a person's script
again in each of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.cores import num_cores
from tinysight.data.picture_worker import Answer, answer
from tinysight.data.pictures import Facts, reader
from tinysight.errors import DataError
from tinysight.pixels import ImageShape

# A process takes about half a second to start, in which about this many small pictures are decoded.
MIN_FOR_PROCESSES = 2000
MAX_PROCESSES = 16
_CHUNK, _CHUNK_BYTES = 512, 8 << 20


@dataclass(frozen=True, eq=False)
class Decoded:
    """Some pictures in a row.

    Attributes:
        start, stop: which ones, as positions among all names.
        images: uint8 (k, height, width, channels), those that can be read, in order.
        failed: position among all names and reason, for each other one.
    """

    start: int
    stop: int
    images: NDArray[np.uint8]
    failed: list[tuple[int, str]]


def decode_all(
    kind: str, base: Path, names: Sequence[str], image_shape: ImageShape, start: int = 0
) -> Iterator[Decoded]:
    """Decodes the named pictures from position `start` on, chunk by chunk in order.

    Raises:
        DataError: when a process dies, or the data is damaged as a whole.
    """
    height, width, channels = image_shape
    length = max(1, min(_CHUNK, _CHUNK_BYTES // (height * width * channels)))
    requests = (
        {"task": "decode", "names": names[first : first + length], "image_shape": image_shape}
        for first in range(start, len(names), length)
    )
    first = start
    for result, pixels in _answers(kind, base, requests, len(names) - start):
        images = np.frombuffer(pixels, np.uint8).reshape(-1, *image_shape)
        failed = [(first + position, reason) for position, reason in result["failed"]]
        stop = first + len(images) + len(failed)
        yield Decoded(first, stop, images, failed)
        first = stop


def facts_of_all(kind: str, base: Path, names: Sequence[str]) -> Iterator[Facts | str]:
    """The header's facts of every named picture, or the reason why it has none.

    Raises:
        DataError: as `decode_all`.
    """
    requests = (
        {"task": "facts", "names": names[first : first + _CHUNK]} for first in range(0, len(names), _CHUNK)
    )  # fmt: skip
    for result, _ in _answers(kind, base, requests, len(names)):
        for facts in result["facts"]:
            yield facts if isinstance(facts, str) else Facts(*facts)


def _answers(kind: str, base: Path, requests: Iterator[dict[str, Any]], num_pictures: int) -> Iterator[Answer]:
    num_processes = min(num_cores(), MAX_PROCESSES)
    if num_pictures < MIN_FOR_PROCESSES or num_processes == 1:
        read = reader(kind, base)
        yield from (answer(request, read) for request in requests)
        return
    workers = [_Worker(kind, base) for _ in range(num_processes)]
    try:
        yield from _in_order(workers, requests)
    finally:
        for worker in workers:
            worker.stop()


def _in_order(workers: list[_Worker], requests: Iterator[dict[str, Any]]) -> Iterator[Answer]:
    """Hands requests out to free workers; at most two answers a worker wait for their turn."""
    free = deque(workers)

    def do(request: dict[str, Any]) -> Answer:
        worker = free.popleft()
        try:
            return worker.ask(request)
        finally:
            free.append(worker)

    waiting: deque[Future[Answer]] = deque()
    with ThreadPoolExecutor(len(workers)) as threads:
        try:
            for request in requests:
                waiting.append(threads.submit(do, request))
                if len(waiting) > 2 * len(workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _Worker:
    def __init__(self, kind: str, base: Path) -> None:
        # The folder that this package is in comes first, and the current one stays out: a file numpy.py there is not
        # meant.
        package = str(Path(__file__).parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tinysight.data.picture_worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        self._send({"kind": kind, "base": str(base.resolve())})

    def ask(self, request: dict[str, Any]) -> Answer:
        self._send(request)
        assert self._process.stdout is not None
        head = self._process.stdout.readline()
        if not head.endswith(b"\n"):
            raise DataError(f"a process that decodes images died (exit status {self._process.wait()}); try again")
        result = json.loads(head)
        if "error" in result:
            raise DataError(result["error"])
        return result, self._process.stdout.read(result["num_bytes"])

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _send(self, value: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise DataError("a process that decodes images died; try again") from None
