"""`tinysight bench service`, and clients that must notice whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable

import pytest
from whole_commands import Trained

from tinysight.serving.forms import extract_images
from tinysight.serving.load_client import BOUNDARY, Load, ask_for, form_request

ANSWER = b'{"predictions":[{"classes":[]},{"classes":[]}]}'
FILES = [b"one", b"two", b"three"]


def whole(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def load_of(answers: list[bytes], came: list[bytes]) -> Load:
    """What two clients note of a server that gives these answers in turn, each in two pieces; b"" is hanging up."""
    turn = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length is not None
                came.append(head + await reader.readexactly(int(length[1])))
                answer = answers[turn % len(answers)]
                turn += 1
                if not answer:
                    break
                writer.write(answer[:30])
                await writer.drain()
                await asyncio.sleep(0.002)
                writer.write(answer[30:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()[:2]
        return await ask_for(address, FILES, num_clients=2, num_images=2, seconds=0.3)


class TestClients:
    def test_good_answers(self) -> None:
        came: list[bytes] = []
        load = asyncio.run(load_of([whole("200 OK", ANSWER)], came))
        assert load.errors == {}
        assert load.num_images == 2 * len(load.latencies) == 2 * len(came) > 0
        assert min(load.latencies) >= 0.002
        assert load.seconds >= 0.3

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (whole("503 Busy", b"{}"), "status 503"),
            (whole("200 OK", b'{"predictions":[{"classes":[]}]}'), "wrong answer"),
            (b"", "connection lost"),
        ],
    )
    def test_every_failure_counts(self, answer: bytes, kind: str) -> None:
        came: list[bytes] = []
        load = asyncio.run(load_of([whole("200 OK", ANSWER), answer], came))
        assert set(load.errors) == {kind}
        assert load.errors[kind] + len(load.latencies) == len(came)
        assert load.errors[kind] >= 1
        assert len(load.latencies) >= 1

    def test_nobody_there(self) -> None:
        load = asyncio.run(ask_for(("127.0.0.1", 9), FILES, num_clients=1, num_images=2, seconds=0.15))
        assert set(load.errors) == {"no connection"}

    def test_form_is_one(self) -> None:
        head, _, body = form_request(FILES, "here").partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert extract_images(body, f"multipart/form-data; boundary={BOUNDARY}", 3) == FILES


def test_command(trained: Trained, command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = command(
        "bench", "service", trained.run.folder, "--clients", 3, "--seconds", 1, "--images", 4, "--json"
    )
    assert status == 0, err
    result = json.loads(out)
    assert (result["num_clients"], result["seconds"], result["run"]) == (3, 1, str(trained.run.folder))
    assert [(asked["file_format"], asked["images_per_request"]) for asked in result["asked"]] == [
        ("PNG", 4),
        ("BMP", 4),
        ("PNG", 1),
    ]
    png, bmp, one = result["asked"]
    assert 100 < png["image_bytes"] == one["image_bytes"] < 28 * 28 < bmp["image_bytes"]
    for asked in result["asked"]:
        assert asked["errors"] == {}
        assert asked["num_images"] == asked["num_requests"] * asked["images_per_request"] > 0
        assert asked["images_per_second"] == pytest.approx(asked["num_images"] / asked["seconds"])
        assert asked["ratio"] == pytest.approx(asked["images_per_second"] / result["runtime_images_per_second"])
        assert 0 < asked["p50_ms"] <= asked["p99_ms"]
    assert min(png["seconds"], bmp["seconds"]) >= 1


def test_not_a_run(command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = command("bench", "service", "nothing-here")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
