from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from misbehaving_server import Server
from public_layouts import remote

from tinysight.data.download import download
from tinysight.errors import DataUnavailableError

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()

pytestmark = pytest.mark.usefixtures("cache")


def test_a_file_comes_whole_and_says_so(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = download(remote("a.bin", CONTENT, server.put("/a.bin", CONTENT)), tmp_path)
    assert path.read_bytes() == CONTENT
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]
    words = capsys.readouterr()
    assert words.out == ""
    assert "fetching a.bin (300,000 bytes) from 127.0.0.1" in words.err
    assert "fetched a.bin" in words.err


def test_a_cut_is_gone_on_with_where_it_was(server: Server, tmp_path: Path) -> None:
    path = download(remote("a.bin", CONTENT, server.put("/a.bin", CONTENT, "cut")), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.requests == [
        ("/a.bin", None),
        ("/a.bin", "bytes=150000-"),
        ("/a.bin", "bytes=225000-"),
        ("/a.bin", "bytes=262500-"),
    ]


def test_a_server_without_ranges_gives_everything_again(server: Server, tmp_path: Path) -> None:
    file = remote("a.bin", CONTENT, server.put("/a.bin", CONTENT, "no-range"))
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    server.requests.extend([("/elsewhere", None)] * 3)  # only its first answers are cut
    assert download(file, tmp_path).read_bytes() == CONTENT


def test_the_next_call_goes_on(server: Server, tmp_path: Path) -> None:
    file = remote("a.bin", CONTENT, server.put("/a.bin", CONTENT, "stuck"))
    with pytest.raises(DataUnavailableError, match="connection broke"):
        download(file, tmp_path)
    assert (tmp_path / "a.bin.part").read_bytes() == CONTENT[:100]
    server.put("/a.bin", CONTENT)
    assert download(file, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1] == ("/a.bin", "bytes=100-")


def test_a_part_that_was_whole_already_needs_no_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert download(remote("a.bin", CONTENT, f"{server.url}/gone"), tmp_path).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("start", [b"rotten" * 1000, CONTENT + b"too much"])
def test_bad_bytes_of_before_do_not_stay(server: Server, tmp_path: Path, start: bytes) -> None:
    (tmp_path / "a.bin.part").write_bytes(start)
    file = remote("a.bin", CONTENT, server.put("/a.bin", CONTENT))
    assert download(file, tmp_path).read_bytes() == CONTENT


BAD_FIRST = {
    "404": ("404", "answered 404"),
    "403": ("403", "answered 403"),
    "500": ("500", "answered 500"),
    "longer": ("longer", "offers 301000 bytes; expected 300000"),
    "endless": ("endless", "sent more than the expected 300000 bytes"),
    "stuck": ("stuck", "the connection broke"),
}


@pytest.mark.parametrize("case", BAD_FIRST)
def test_the_second_address_is_tried(server: Server, tmp_path: Path, case: str) -> None:
    first = server.put("/first/a.bin", CONTENT, BAD_FIRST[case][0])
    second = server.put("/second/a.bin", CONTENT)
    assert download(remote("a.bin", CONTENT, first, second), tmp_path).read_bytes() == CONTENT
    assert server.requests[0][0] == "/first/a.bin"
    assert server.requests[-1][0] == "/second/a.bin"


@pytest.mark.parametrize("case", BAD_FIRST)
def test_every_failure_is_named(server: Server, tmp_path: Path, case: str) -> None:
    behaviour, words = BAD_FIRST[case]
    urls = [server.put(f"/{number}/a.bin", CONTENT, behaviour) for number in (1, 2)]
    with pytest.raises(DataUnavailableError) as error:
        download(remote("a.bin", CONTENT, *urls), tmp_path)
    assert str(error.value).count(words) == 2
    assert "\n" not in str(error.value)
    assert not (tmp_path / "a.bin").exists()


def test_wrong_content_is_never_kept(server: Server, tmp_path: Path) -> None:
    wrong = bytes(len(CONTENT))
    first, second = server.put("/1", wrong), server.put("/2", CONTENT)
    file = remote("a.bin", CONTENT, first)
    with pytest.raises(DataUnavailableError, match=f"sent a file with md5 .*; expected {file.md5}"):
        download(file, tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"] or list(tmp_path.iterdir()) == []
    assert download(remote("a.bin", CONTENT, first, second), tmp_path).read_bytes() == CONTENT


def test_the_sha256_counts_as_well(server: Server, tmp_path: Path) -> None:
    file = remote("a.bin", CONTENT, server.put("/a.bin", CONTENT))
    with pytest.raises(DataUnavailableError, match="whose sha256 is wrong"):
        download(replace(file, sha256="0" * 64), tmp_path)
    assert not (tmp_path / "a.bin").exists()
    assert download(replace(file, sha256=""), tmp_path).read_bytes() == CONTENT


def test_nobody_there(tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.bin"
        with pytest.raises(DataUnavailableError, match="the connection is refused"):
            download(remote("a.bin", CONTENT, url), tmp_path)


def test_a_terminal_gets_a_bar(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    download(remote("a.bin", CONTENT, server.put("/a.bin", CONTENT)), tmp_path)
    words = capsys.readouterr()
    assert words.out == ""
    assert "a.bin" in words.err
    assert "300.0/300.0 kB" in words.err
