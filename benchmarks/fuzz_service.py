"""Sends damaged pictures to a service and watches for faults and for growing memory.

    python benchmarks/fuzz_service.py [--num 10000] [--seed 0] [--keep FOLDER] [--json]

Each picture is one of `tests/odd_pictures.py` (PNG, JPEG, WebP, GIF, BMP of 38 kinds), damaged in one of four ways:
bits flipped, cut off, a piece of another file put in, or numbers of its header replaced by extreme ones. Each is a
request of its own to `POST /predict` of a real `tinysight serve`, over eight connections at once. The only answers
allowed are 200 and 422, with the JSON that the documents promise. Anything else is a fault; `--keep` saves the pictures
that brought one about.

Memory is the service's resident set, read from its `/metrics` when nothing is inside: after the first tenth of the
pictures, which fill caches and the allocator's pools, and then after every further tenth. Growth is the median of the
last three readings less the median of the first three, and is a fault past 16 MiB. It exits 1 when there was a fault.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "serving")]

from odd_pictures import KINDS, odd_pictures  # noqa: E402
from onnx_models import write_model  # noqa: E402
from running import Running, running  # noqa: E402

Generator = np.random.Generator
NUM_CONNECTIONS = 8
# The service closes a connection that was silent for 5 s.
KEPT_SECONDS = 2
NUM_BLOCKS = 10
MAX_GROWTH = 16 * 1024 * 1024
# What header fields are replaced by: the ends of their ranges, and sizes just within and past the limits.
EXTREMES = (0, 1, 255, 256, 5000, 65_535, 65_536, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass(kw_only=True)
class Result:
    """What came of it.

    Attributes:
        num: pictures sent.
        statuses: how often each came.
        faults: name of a picture and what was wrong with its answer.
        slowest_seconds: of all answers.
        memory: resident bytes after each block.
        growth: bytes, as the module's text says.
    """

    num: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    slowest_seconds: float = 0.0
    slowest: str = ""
    memory: list[float] = field(default_factory=list)
    growth: float = 0.0


def flip_bits(generator: Generator, data: bytes, _: bytes) -> bytes:
    changed = bytearray(data)
    # Half of the time near the start, where the headers are.
    end = min(len(data), 64) if generator.integers(2) else len(data)
    for _number in range(int(generator.integers(1, 12))):
        changed[int(generator.integers(end))] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def cut_off(generator: Generator, data: bytes, _: bytes) -> bytes:
    end = int(generator.integers(len(data)))
    return data[:end] + bytes(generator.integers(0, 256, int(generator.integers(0, 2) * 50), dtype=np.uint8))


def splice(generator: Generator, data: bytes, other: bytes) -> bytes:
    """The head of one file and the tail of another, or a piece of the other in its middle."""
    here, there = int(generator.integers(len(data))), int(generator.integers(len(other)))
    if generator.integers(2):
        return data[: int(generator.integers(8, 64))] + other[there:]
    return data[:here] + other[there : there + int(generator.integers(1, 200))] + data[here:]


def lie(generator: Generator, data: bytes, _: bytes) -> bytes:
    """Extreme numbers where sizes, depths and lengths stand; a PNG's checksum is made to fit."""
    changed = bytearray(data)
    for _number in range(int(generator.integers(1, 3))):
        width = int(generator.choice([1, 2, 4]))
        start = int(generator.integers(2, max(3, min(len(data) - 4, 48))))
        value = EXTREMES[int(generator.integers(len(EXTREMES)))] % 2 ** (8 * width)
        changed[start : start + width] = value.to_bytes(width, "big" if generator.integers(2) else "little")
    if data.startswith(b"\x89PNG") and len(changed) > 33:
        import zlib

        changed[29:33] = zlib.crc32(changed[12:29]).to_bytes(4, "big")
    return bytes(changed)


MUTATIONS: tuple[Callable[[Generator, bytes, bytes], bytes], ...] = (flip_bits, cut_off, splice, lie)


def damaged_pictures(seed: int) -> Iterator[tuple[str, bytes]]:
    """Without end: a name that says how it came about, and the bytes."""
    generator = np.random.default_rng(seed)
    sources = list(odd_pictures(5 * len(KINDS), seed=seed))
    number = 0
    while True:
        source, other = (sources[int(place)] for place in generator.integers(0, len(sources), 2))
        mutate = MUTATIONS[number % len(MUTATIONS)]
        yield f"{number:06}-{mutate.__name__}-{source.name}", mutate(generator, source.data, other.data)
        number += 1


class Asker:
    """Asks over a connection of its own in each thread, and notes what comes."""

    def __init__(self, service: Running, keep: Path | None) -> None:
        self._service, self._keep = service, keep
        self._local, self._lock = threading.local(), threading.Lock()
        self.result = Result()

    def ask(self, picture: tuple[str, bytes]) -> None:
        name, data = picture
        start = time.perf_counter()
        try:
            status, body = self._answer(data)
            fault = _fault(status, body)
        except (OSError, http.client.HTTPException) as error:
            self._local.connection = None
            status, fault = 0, f"no answer: {type(error).__name__} {error}"
        with self._lock:
            self._note(name, data, status, fault, time.perf_counter() - start)

    def _answer(self, data: bytes) -> tuple[int, bytes]:
        connection = getattr(self._local, "connection", None)
        if connection is None or time.monotonic() - self._local.used > KEPT_SECONDS:
            connection = self._local.connection = http.client.HTTPConnection(*self._service.address, timeout=120)
        self._local.used = time.monotonic()
        connection.request("POST", "/predict", data, {"Content-Type": "application/octet-stream"})
        response = connection.getresponse()
        return response.status, response.read()

    def _note(self, name: str, data: bytes, status: int, fault: str | None, seconds: float) -> None:
        self.result.num += 1
        self.result.statuses[str(status)] = self.result.statuses.get(str(status), 0) + 1
        if seconds > self.result.slowest_seconds:
            self.result.slowest_seconds, self.result.slowest = seconds, name
        if fault is not None:
            self.result.faults[name] = fault
            if self._keep is not None:
                (self._keep / name).write_bytes(data)


def _fault(status: int, body: bytes) -> str | None:
    from tinysight.serving.answers import Predictions, Problem

    if status not in (200, 422):
        return f"status {status}: {body[:200].decode('utf-8', 'replace')}"
    (Predictions if status == 200 else Problem).model_validate_json(body, strict=True)
    return None


def fuzz(num: int, seed: int, keep: Path | None = None) -> Result:
    """Starts a service, sends it `num` pictures, and stops it; its log must have stayed empty."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder) / "model.onnx")
        with running(model) as service, ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
            asker = Asker(service, keep)
            pictures = damaged_pictures(seed)
            for block in range(NUM_BLOCKS):
                count = num * (block + 1) // NUM_BLOCKS - num * block // NUM_BLOCKS
                list(pool.map(asker.ask, islice(pictures, count)))
                service.wait_for_metric("tinysight_requests_inside", 0)
                asker.result.memory.append(_memory(service))
                print(f"{asker.result.num:,} pictures, {asker.result.memory[-1] / 1e6:.0f} MB", file=sys.stderr)
    result = asker.result
    first, last = result.memory[:3], result.memory[-3:]
    result.growth = statistics.median(last) - statistics.median(first)
    return result


def _memory(service: Running) -> float:
    """Only Linux tells; elsewhere faults alone are watched for."""
    return service.metric("process_resident_memory_bytes") if sys.platform == "linux" else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--num", type=int, default=10_000, help="pictures to send")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for pictures that brought a fault about")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    result = fuzz(arguments.num, arguments.seed, arguments.keep)
    if arguments.json:
        print(json.dumps(asdict(result), indent=2))
    else:
        print(f"{result.num:,} pictures: {result.statuses}, {len(result.faults)} faults")
        for name, fault in list(result.faults.items())[:20]:
            print(f"  {name}: {fault}")
        print(f"slowest answer {result.slowest_seconds:.2f} s ({result.slowest})")
        print(f"memory {[round(value / 1e6) for value in result.memory]} MB, growth {result.growth / 1e6:+.1f} MB")
    if result.faults or result.growth > MAX_GROWTH:
        sys.exit(1)


if __name__ == "__main__":
    main()
