"""Clients that ask a service as fast as it answers: a process of its own, driven by lines on standard input.

Written on bare asyncio, because a library's client costs several times what the service spends on a request, and both
share one machine. Imports nothing heavy.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

BOUNDARY = "tinysight-load"


@dataclass(kw_only=True)
class Load:
    """What clients saw in one round.

    Attributes:
        num_images: that were answered.
        seconds: from the first request to the last answer.
        latencies: of each answered request, seconds.
        errors: how often each kind of failure came: a status, a wrong answer, a lost connection.
    """

    num_images: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    def add_error(self, kind: str) -> None:
        self.errors[kind] = self.errors.get(kind, 0) + 1


def form_request(files: list[bytes], host: str) -> bytes:
    """`POST /predict` with the files in a multipart form, as it goes over the wire."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'.encode()
    body = b"".join(head + file + b"\r\n" for file in files) + f"--{BOUNDARY}--\r\n".encode()
    lines = (
        "POST /predict?top=3 HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class _Client(asyncio.Protocol):
    """One connection: a request, its answer, the next request, until the time is over."""

    def __init__(self, requests: Iterator[bytes], num_images: int, until: float, load: Load) -> None:
        self._requests, self._num_images, self._until, self._load = requests, num_images, until, load
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._answer.clear()
        self._start = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if _is_whole(self._answer):
            self._note()
            if time.perf_counter() < self._until:
                self._ask()
            else:
                self._end()

    def _note(self) -> None:
        status = self._answer[9:12].decode("ascii", "replace")
        if status != "200":
            self._load.add_error(f"status {status}")
        elif self._answer.count(b'"classes":') != self._num_images:
            self._load.add_error("wrong answer")
        else:
            self._load.latencies.append(time.perf_counter() - self._start)
            self._load.num_images += self._num_images

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self._load.add_error("connection lost")
            self.done.set_result(None)


def _is_whole(answer: bytearray) -> bool:
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    lines = bytes(answer[:head_end]).lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    return len(answer) >= head_end + 4 + length


async def ask_for(
    address: tuple[str, int], files: list[bytes], *, num_clients: int, num_images: int, seconds: float
) -> Load:
    """One round: `num_clients` connections, each with one request of `num_images` files at a time.

    A client whose connection breaks counts an error and comes again.
    """
    load = Load()
    requests = _requests(files, num_images, address)
    start = time.perf_counter()
    await asyncio.gather(*(_client(address, requests, num_images, start + seconds, load) for _ in range(num_clients)))
    load.seconds = time.perf_counter() - start
    return load


def _requests(files: list[bytes], num_images: int, address: tuple[str, int]) -> Iterator[bytes]:
    """Without end, over all files; made before the round, so that it costs nothing in it."""
    num_requests = max(1, len(files) // num_images)
    groups = [files[place * num_images :][:num_images] for place in range(num_requests)]
    host = f"{address[0]}:{address[1]}"
    return cycle([form_request(group, host) for group in groups])


async def _client(
    address: tuple[str, int], requests: Iterator[bytes], num_images: int, until: float, load: Load
) -> None:
    while time.perf_counter() < until:
        try:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: _Client(requests, num_images, until, load), *address
            )
        except OSError:
            load.add_error("no connection")
            await asyncio.sleep(0.1)
        else:
            await client.done


def main() -> None:
    """Answers each line of JSON, the arguments of `ask_for` with a folder as `files`, with what came of it."""
    for line in sys.stdin:
        wanted = json.loads(line)
        files = [path.read_bytes() for path in sorted(Path(wanted.pop("files")).iterdir())]
        load = asyncio.run(ask_for(tuple(wanted.pop("address")), files, **wanted))
        print(json.dumps(asdict(load)), flush=True)


if __name__ == "__main__":
    main()
