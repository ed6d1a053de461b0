from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from misbehaving_server import Server, running_server

from tinysight.data import download
from tinysight.data.entries import CATALOG, Entry


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own, no folder given, and no proxy between a test and its server."""
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYSIGHT_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    return tmp_path / "cache" / "data"


@pytest.fixture
def use_entry(monkeypatch: pytest.MonkeyPatch) -> Callable[[Entry], None]:
    def use(entry: Entry) -> None:
        monkeypatch.setitem(CATALOG, entry.name, entry)

    return use
