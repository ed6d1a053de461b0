"""Checkpoints in a folder and in a place that only fsspec reaches: whole or absent, checked when read."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinysight.cluster.storage import FolderStorage, RemoteStorage, Storage, found_from_everywhere, open_storage
from tinysight.cluster.worker import Worker
from tinysight.errors import InvalidValueError
from tinysight.jobs import on_cluster
from tinysight.runs import Run
from tinysight.training.checkpoints import Checkpoint, read_newest, write_checkpoint

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")


def checkpoint(epoch: int, step: int = 0) -> Checkpoint:
    return Checkpoint(
        epoch=epoch, step=step, seconds=1.0, learning_rate=0.1, history=[], variables=[np.full(3, epoch, np.float32)]
    )


@pytest.fixture(params=["folder", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
        yield "memory://bucket/run"
        fsspec.filesystem("memory").store.clear()
    else:
        yield str(tmp_path / "run") if request.param == "folder" else f"file://{tmp_path}/run"


def write(storage: Storage, scratch: Path, *found: Checkpoint) -> None:
    for one in found:
        write_checkpoint(storage.folder(scratch), one)
        storage.send()


def names(place: str) -> list[str]:
    files, root = fsspec.core.url_to_fs(place)
    return sorted(Path(path).name for path in files.ls(root, detail=False))


def test_the_newest_is_found_and_old_ones_go(place: str, tmp_path: Path) -> None:
    storage = open_storage(place)
    assert storage.newest(tmp_path / "none") is None
    write(storage, tmp_path / "scratch", checkpoint(1), checkpoint(1, 5), checkpoint(1, 9), checkpoint(1, 12))
    found = open_storage(place).newest(tmp_path / "read")
    assert found is not None
    assert (found.epoch, found.step, found.variables[0].tolist()) == (1, 12, [1, 1, 1])
    kept = [f"checkpoint-000001-{step:08d}" for step in (0, 9, 12)]
    assert names(place) == sorted(f"{name}{end}" for name in kept for end in (".npz", ".sha256"))


def test_a_damaged_one_is_left_out(place: str, tmp_path: Path) -> None:
    write(open_storage(place), tmp_path / "scratch", checkpoint(1), checkpoint(2))
    files, root = fsspec.core.url_to_fs(place)
    content = files.cat_file(f"{root}/checkpoint-000002-00000000.npz")
    files.pipe_file(f"{root}/checkpoint-000002-00000000.npz", content[:-1])
    found = open_storage(place).newest(tmp_path / "read")
    assert found is not None
    assert found.epoch == 1
    assert "checkpoint-000002-00000000.npz" not in names(place)


def test_a_broken_transfer_leaves_nothing_under_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").store.clear()
    storage = RemoteStorage("memory://bucket/run")
    write(storage, tmp_path / "scratch", checkpoint(1))

    def half(source: str, target: str) -> None:
        storage.files.pipe_file(target, Path(source).read_bytes()[:100])
        raise OSError("connection lost")

    monkeypatch.setattr(storage.files, "put_file", half)
    with pytest.raises(InvalidValueError, match=r"^nothing can be written to --storage memory://.*: connection lost$"):
        write(storage, tmp_path / "scratch", checkpoint(2))
    assert [name for name in names("memory://bucket/run") if name.startswith("checkpoint-000002")] == []
    assert any(name.startswith(".partial-") for name in names("memory://bucket/run"))
    found = RemoteStorage("memory://bucket/run").newest(tmp_path / "read")
    assert found is not None
    assert found.epoch == 1
    assert not any(name.startswith(".partial-") for name in names("memory://bucket/run"))


def test_a_place_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = RemoteStorage("memory://bucket/run")

    def refuse(*words: object, **more: object) -> None:
        raise PermissionError("403: not yours\nand more")

    for name in ("ls", "pipe_file", "rm_file"):
        monkeypatch.setattr(storage.files, name, refuse)
    reached = {"read from": lambda: storage.newest(tmp_path), "written to": storage.leave_sign}
    for what, reach in (reached | {"removed from": lambda: storage.remove_sign("seen")}).items():
        with pytest.raises(InvalidValueError) as stop:
            reach()
        assert str(stop.value) == f"nothing can be {what} --storage memory://bucket/run: 403: not yours"


def test_signs(place: str) -> None:
    storage = open_storage(place)
    sign = storage.leave_sign()
    assert open_storage(place).has_sign(sign)
    assert not open_storage(place).has_sign("seen-other")
    storage.remove_sign(sign)
    assert not storage.has_sign(sign)


def test_what_fsspec_does_not_know() -> None:
    with pytest.raises(InvalidValueError, match=r"^--storage nowhere://bucket: Protocol not known"):
        open_storage("nowhere://bucket")


@pytest.mark.parametrize("place", ["", "s3://", "file://"])
def test_no_place(place: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"^--storage '{place}' names no place: expected a folder, or a URL"):
        open_storage(place)


def test_a_folder_is_the_same_one_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        found_from_everywhere("shared")
        == found_from_everywhere(f"file://{tmp_path}/shared")
        == str(tmp_path / "shared")
    )
    assert found_from_everywhere("s3://bucket/shared") == "s3://bucket/shared"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValueError, match=r"^nothing can be written to --storage "):
        FolderStorage(tmp_path / "file" / "below").leave_sign()


def test_what_a_machine_does_not_see(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "run"))
    sign = storage.leave_sign()
    (tmp_path / "pixels").touch()
    worker = Worker(0, 2)
    here, nowhere = str(tmp_path / "run"), str(tmp_path / "other")
    assert worker.hidden_from_here(here, sign, [str(tmp_path / "pixels")]) == []
    assert worker.hidden_from_here(nowhere, sign, [f"{nowhere}/pixels"]) == [
        f"{nowhere} from {socket.gethostname()}", f"{nowhere}/pixels from {socket.gethostname()}",
    ]  # fmt: skip


def test_a_run_that_is_resumed_gets_its_checkpoint_back(place: str, tmp_path: Path) -> None:
    run = Run(tmp_path / "resumed")
    on_cluster.fetch_checkpoint(run, None)
    on_cluster.fetch_checkpoint(run, {"checkpoints": None})
    on_cluster.fetch_checkpoint(run, {"checkpoints": place})
    assert not run.checkpoints.exists()
    write(open_storage(place), tmp_path / "scratch", checkpoint(1), checkpoint(2, 7))
    on_cluster.fetch_checkpoint(run, {"checkpoints": place})
    found, damaged = read_newest(run.checkpoints)
    assert found is not None
    assert (found.epoch, found.step, damaged) == (2, 7, [])
