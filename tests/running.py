"""A real `tinysight serve` on loopback, and pictures to send to it."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import httpx
import numpy as np
from PIL import Image

COMMAND = [sys.executable, "-m", "tinysight", "serve"]


@dataclass
class Running:
    """The process and what it announced."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url.replace("0.0.0.0", "127.0.0.1"), timeout=60)

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        return host, int(port)

    def metric(self, name: str, key: str | None = None) -> float:
        """One figure of /metrics."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        text = self.client.get("/metrics", headers=headers).text
        (value,) = [line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(value)

    def wait_for_metric(self, name: str, value: float) -> None:
        deadline = time.monotonic() + 20
        while self.metric(name) != value:
            assert time.monotonic() < deadline, f"{name} never came to {value}"
            time.sleep(0.02)

    def raw(self, head: str, body: bytes = b"") -> socket.socket:
        """A connection on which a request was begun by hand."""
        connection = socket.create_connection(self.address, timeout=20)
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return connection


@contextmanager
def running(model: Path, *options: object) -> Iterator[Running]:
    """The service, ready; at the end it is stopped, and must have stopped well and logged no traceback."""
    # A file for the log, not a pipe: a pipe that nobody reads holds up the service when it is full.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*COMMAND, str(model), "--port", "0", "--json", *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
        )
        try:
            service = Running(process, _read_announcement(process, log))
            with service.client:
                yield service
            if process.poll() is None:
                process.terminate()
            process.wait(30)
            assert "Traceback" not in _read(log)
            assert len(_read(log).splitlines()) <= 2, "clients could fill the log"
            if sys.platform != "win32":  # There `terminate` is no signal that can be handled.
                assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()


def _read_announcement(process: subprocess.Popen[str], log: TextIO) -> dict[str, Any]:
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, _read(log)
        text += line
    value: dict[str, Any] = json.loads(text)
    return value


def _read(log: TextIO) -> str:
    log.seek(0)
    return log.read()


def receive_all(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer on a connection of `Running.raw`."""
    from http.client import HTTPResponse

    with connection:
        response = HTTPResponse(connection)
        response.begin()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pictures() -> dict[str, bytes]:
    """Image files of many kinds and sizes by name."""
    generator = np.random.default_rng(3)

    def noise(*shape: int) -> Image.Image:
        return Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8))

    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "colour.png": encode(noise(8, 8, 3), "PNG"),
        "grey.png": encode(noise(20, 11), "PNG"),
        "alpha.png": encode(noise(33, 40, 4), "PNG"),
        "palette.gif": encode(noise(19, 23, 3), "GIF"),
        "turned.jpg": encode(noise(30, 50, 3), "JPEG", exif=exif.tobytes()),
        "plain.bmp": encode(noise(7, 5, 3), "BMP"),
        "lossy.webp": encode(noise(64, 48, 3), "WebP"),
        "deep.png": encode(Image.fromarray(generator.integers(0, 65536, (9, 9), dtype=np.uint16)), "PNG"),
    }
