"""The live page's server and record, over real connections."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysight.errors import InvalidValueError
from tinysight.live.record import Record
from tinysight.live.server import FILES, LiveServer
from tinysight.png import png_uri


@pytest.fixture
def record() -> Record:
    return Record(phase="starting", points={"epoch": []})


@pytest.fixture
def server(record: Record) -> Iterator[LiveServer]:
    opened = LiveServer(record)
    yield opened
    opened.close()


def get(url: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers={} if host is None else {"Host": host})
    # Past whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_files_with_a_strict_policy(server: LiveServer) -> None:
    for path, (_, kind) in FILES.items():
        status, headers, body = get(server.url.rstrip("/") + path)
        assert (status, headers["Content-Type"]) == (200, kind)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert len(body) > 500
        assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")
    assert get(server.url + "gone")[0] == 404
    assert get(server.url + "../record.py")[0] == 404


def test_other_names_than_loopback_are_refused(server: LiveServer) -> None:
    port = server.url.rstrip("/").rpartition(":")[2]
    assert get(server.url, host=f"evil.example:{port}")[0] == 403
    assert get(server.url, host=f"localhost:{port}")[0] == 200


def test_an_answer_waits_for_news(server: LiveServer, record: Record) -> None:
    first = json.loads(get(server.url + "record?after=0")[2])
    assert (first["version"], first["phase"]) == (1, "starting")
    answers: list[dict[str, object]] = []

    def ask() -> None:
        answers.append(json.loads(get(server.url + "record?after=1")[2]))

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(0.2)
    assert answers == []
    record.update(phase="training", epoch=3)
    asking.join(60)
    assert answers == [{"version": 2, "phase": "training", "points": {"epoch": []}, "epoch": 3}]
    assert json.loads(get(server.url + "record?after=words")[2])["version"] == 2


def test_a_browser_that_goes_away_breaks_nothing(
    server: LiveServer, record: Record, capfd: pytest.CaptureFixture[str]
) -> None:
    port = int(server.url.rstrip("/").rpartition(":")[2])
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /record?after=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            # Closed by force: the answer meets a connection that is gone.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    record.update(points={"epoch": list(range(20_000))})
    assert get(server.url)[0] == 200
    assert capfd.readouterr().err == ""


def test_the_end_is_heard_before_the_server_goes(record: Record) -> None:
    server = LiveServer(record)
    heard: list[str] = []
    asking = threading.Thread(target=lambda: heard.append(json.loads(get(server.url + "record?after=1")[2])["phase"]))
    asking.start()
    deadline = time.monotonic() + 60
    while not server._server.num_active:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    record.update(phase="finished")
    server.close()
    asking.join(60)
    assert heard == ["finished"]
    with pytest.raises(urllib.error.URLError):
        get(server.url)


def test_a_port_that_is_taken(server: LiveServer, record: Record) -> None:
    port = int(server.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(InvalidValueError, match=rf"--live {port}: port {port} is in use; name another, or none"):
        LiveServer(record, port)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_png(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    with urllib.request.urlopen(png_uri(pixels)) as answer:
        (tmp_path / "a.png").write_bytes(answer.read())
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0] if shape[2:] == (1,) else pixels)
