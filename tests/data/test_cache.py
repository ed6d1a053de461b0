from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from own_images import make_classes

from tinysight.data import cache as cache_module
from tinysight.data import picture_pool, source
from tinysight.data.cache import cache_root, cached_folders, lock_path
from tinysight.data.own import OwnData
from tinysight.data.source import load_data
from tinysight.errors import DataError
from tinysight.images import ImageSet
from tinysight.stored import StoredImages

# Makes every folder large enough for the cache and for worker processes; chunks of two images make kills possible.
SMALL_LIMITS = """
from tinysight.data import cache, picture_pool, source
source.CACHE_FROM_IMAGES = 1
picture_pool.MIN_FOR_PROCESSES = {min_for_processes}
picture_pool._CHUNK = 2
cache._SAVE_SECONDS = 0.0
"""


@pytest.fixture
def small_limits(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "CACHE_FROM_IMAGES", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "pictures", {"a": 12, "b": 10})


def both(data: Any) -> tuple[ImageSet, ImageSet]:
    return data.train, data.test


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tinysight", *arguments], capture_output=True, text=True, encoding="utf-8", check=False
    )


def script(text: str, min_for_processes: int = 10**9) -> list[str]:
    return [sys.executable, "-c", SMALL_LIMITS.format(min_for_processes=min_for_processes) + text]


def test_cached_data_is_the_same_as_in_memory(
    folder: Path, small_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a" / "9x.png").write_bytes(b"nothing")
    cached = load_data(folder, group_by=r"^(\d)")
    assert isinstance(cached, OwnData)
    monkeypatch.setattr(source, "CACHE_FROM_IMAGES", 1000)
    in_memory = load_data(folder, group_by=r"^(\d)")
    assert isinstance(in_memory, OwnData)
    for stored, plain in zip(both(cached), both(in_memory), strict=True):
        assert isinstance(stored.images, StoredImages)
        np.testing.assert_array_equal(np.asarray(stored.images), plain.images)
        np.testing.assert_array_equal(stored.labels, plain.labels)
        assert tuple(stored.sources) == plain.sources
    assert cached.left_out == in_memory.left_out != ()
    assert cached.train_groups is not None
    np.testing.assert_array_equal(cached.train_groups, in_memory.train_groups)


def test_nothing_is_decoded_twice_unless_it_changed(
    folder: Path, small_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodings = []
    decode_all = cache_module.decode_all

    def counted(*arguments: Any) -> Any:
        decodings.append(arguments)
        return decode_all(*arguments)

    monkeypatch.setattr(cache_module, "decode_all", counted)
    load_data(folder)
    load_data(folder, test_fraction=0.5, seed=3)
    assert len(decodings) == 1
    os.utime(folder / "a" / "0.png", ns=(1, 1))
    load_data(folder)
    load_data(folder, image_size=(8, 8))
    assert len(decodings) == len(cached_folders()) == 3


def test_what_the_system_did_not_let_be_read_is_tried_again(
    folder: Path, small_limits: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a" / "00.png").write_bytes(b"nothing")
    monkeypatch.setattr(picture_pool, "_CHUNK", 4)
    refused = {folder / "a" / "3.png", folder / "b" / "4.png"}
    open_path = Path.open

    def refusing(path: Path, *arguments: Any, **options: Any) -> Any:
        if path in refused:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_path(path, *arguments, **options)

    def left_out() -> list[str]:
        data = load_data(folder)
        assert isinstance(data, OwnData)
        return [left.name for left in data.left_out]

    monkeypatch.setattr(Path, "open", refusing)
    broken, first, second = (str(Path(*name.split("/"))) for name in ("a/00.png", "a/3.png", "b/4.png"))
    assert left_out() == [broken, first, second]
    assert left_out() == [broken, first, second]
    assert "going on with" not in capsys.readouterr().err
    mapped = load_data(folder).train.images
    before = np.array(mapped)

    refused.remove(folder / "b" / "4.png")
    assert left_out() == [broken, first]
    assert "going on with" in capsys.readouterr().err
    np.testing.assert_array_equal(np.asarray(mapped), before)
    refused.clear()
    assert left_out() == [broken]
    stored = load_data(folder)
    assert len(cached_folders()) == 1
    monkeypatch.setattr(source, "CACHE_FROM_IMAGES", 1000)
    for kept, plain in zip(both(stored), both(load_data(folder)), strict=True):
        np.testing.assert_array_equal(np.asarray(kept.images), plain.images)
        np.testing.assert_array_equal(kept.labels, plain.labels)
        assert tuple(kept.sources) == plain.sources


def test_worker_processes_decode_the_same(folder: Path, small_limits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "b" / "broken.png").write_bytes(b"nothing")
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    monkeypatch.setattr(picture_pool, "_CHUNK", 3)
    here = list(picture_pool.decode_all("files", folder, names, (20, 16, 3)))
    monkeypatch.setattr(picture_pool, "MIN_FOR_PROCESSES", 1)
    monkeypatch.setattr(picture_pool, "num_cores", lambda: 2)
    there = list(picture_pool.decode_all("files", folder, names, (20, 16, 3)))
    assert [(part.start, part.stop, part.failed) for part in here] == [
        (part.start, part.stop, part.failed) for part in there
    ]
    for first, second in zip(here, there, strict=True):
        np.testing.assert_array_equal(first.images, second.images)
    assert len([facts for facts in picture_pool.facts_of_all("files", folder, names) if isinstance(facts, str)]) == 1


def test_a_killed_decoding_is_gone_on_with(folder: Path, cache: Path) -> None:
    slow = """
import time
from tinysight.data.source import load_data
decode = picture_pool.answer
def answer(request, read):
    time.sleep(0.2)
    return decode(request, read)
picture_pool.answer = answer
"""
    load = f"load_data({str(folder)!r})"
    process = subprocess.Popen(script(slow + load))
    deadline = time.monotonic() + 60
    while not list(cache_root().glob(".partial-*/state.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.wait()
    assert not [path for path in cached_folders() if not path.name.startswith(".")]
    (listed,) = json.loads(command("data", "cache", "list", "--json").stdout)
    assert listed["is_whole"] is False
    again = subprocess.run(
        script(f"from tinysight.data.source import load_data\n{load}"), capture_output=True, text=True, check=True
    )
    assert "going on with" in again.stderr
    (whole,) = cached_folders()
    assert not whole.name.startswith(".")
    stored = np.fromfile(whole / "images.u8", np.uint8).reshape(-1, 20, 16, 3)
    expected = load_data(folder)
    assert isinstance(expected, OwnData)
    assert len(stored) == 22
    for split in ("train", "test"):
        np.testing.assert_array_equal(stored[expected.indices[split]], getattr(expected, split).images)


def test_two_processes_decode_once(folder: Path, cache: Path) -> None:
    text = f"""
import time
from tinysight.data.source import load_data
build = cache._build
def slow_build(*arguments):
    print("built")
    time.sleep(1)
    build(*arguments)
cache._build = slow_build
print(len(load_data({str(folder)!r}).train))
"""
    processes = [subprocess.Popen(script(text), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sorted(outputs, key=len) == [["18"], ["built", "18"]]


def test_a_damaged_cache_is_decoded_anew(folder: Path, small_limits: None, capsys: pytest.CaptureFixture[str]) -> None:
    before = np.asarray(load_data(folder).train.images)
    (cached,) = cached_folders()
    with (cached / "images.u8").open("rb+") as file:
        file.truncate(100)
    np.testing.assert_array_equal(np.asarray(load_data(folder).train.images), before)
    assert "are damaged and are decoded anew" in capsys.readouterr().err


def test_too_little_room_is_said_before_decoding(
    folder: Path, small_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(DataError, match=r"which has 0\.0 GB free: .*tinysight data cache clear"):
        load_data(folder)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="needs file permissions that hold")
def test_a_cache_that_cannot_be_written_is_said(folder: Path, small_limits: None, cache: Path) -> None:
    cache.parent.mkdir(mode=0o500)
    with pytest.raises(DataError, match="cannot write decoded images to the cache"):
        load_data(folder)


def test_nothing_but_broken_images_leaves_no_cache(tmp_path: Path, small_limits: None) -> None:
    for name in "ab":
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "0.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="none of its 2 images can be read"):
        load_data(tmp_path / "d")
    assert cached_folders() == []


def test_list_and_clear(tmp_path: Path, folder: Path, small_limits: None) -> None:
    other = make_classes(tmp_path / "other", {"a": 3, "b": 3}, size=(8, 8))
    load_data(folder)
    load_data(other)
    records = json.loads(command("data", "cache", "list", "--json").stdout)
    assert {record["data"] for record in records} == {str(folder.resolve()), str(other.resolve())}
    record = next(record for record in records if record["data"] == str(folder.resolve()))
    assert (record["num_images"], record["image_shape"], record["is_whole"]) == (22, [20, 16, 3], True)
    assert record["num_bytes"] > 22 * 20 * 16 * 3
    assert "20x16x3" in command("data", "cache", "list").stdout

    cleared = json.loads(command("data", "cache", "clear", str(folder), "--json").stdout)
    assert [entry["data"] for entry in cleared["removed"]] == [str(folder.resolve())]
    assert len(cached_folders()) == 1
    with FileLock(lock_path(cached_folders()[0])):
        kept = command("data", "cache", "clear")
        assert "in use, so kept" in kept.stdout
    assert "removed 1" in command("data", "cache", "clear").stdout
    assert list(cache_root().iterdir()) == []
    assert len(list(folder.rglob("*.png"))) == 22
    refused = command("data", "cache", "clear", str(folder))
    assert refused.returncode == 2
    assert "the cache has no decoded images of" in refused.stderr
    assert "did you mean 'data cache clear'" in command("data", "cache", "clean").stderr
