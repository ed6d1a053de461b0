"""Trainings that are killed, interrupted, short of disk or with a damaged checkpoint, and go on to the same bits."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import stripes

from tinysight.files import read_json
from tinysight.runs import Run

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from kill_and_resume import Victim, differences

Command = Callable[..., tuple[int, str, str]]

NUM_IMAGES, EPOCHS = 6000, 3
COMMON = ("--epochs", EPOCHS, "--batch-size", 40, "--no-report", "--checkpoint-minutes", 0)
TRAININGS: dict[str, tuple[Any, ...]] = {
    "dropout": (
        "mnist-cnn", "--set", "layers=conv 6,pool,dropout 0.3,flatten,dense 12,dropout 0.4", "--set", "flip=random",
        "--set", "translate=2", "--set", "cutout=3", "--set", "validation=stratified", "--set", "keep=best",
    ),
    "fast": ("quick", "--set", "widths=8,16", "--set", "stem_filters=6", "--set", "stem_strides=1",
        "--set", "group_convolutions=1"),
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = stripes(NUM_IMAGES)
    path = tmp_path_factory.mktemp("pictures") / "stripes.npz"
    np.savez(path, images=images.images, labels=images.labels)
    return path


@pytest.mark.parametrize(
    ("name", "kinds"), [("dropout", ("within",)), ("fast", ("writing",))], ids=lambda value: str(value)
)
def test_killed_for_real(name: str, kinds: tuple[str, ...], pictures: Path, command: Command, offline: Path) -> None:
    words = tuple(map(str, (*TRAININGS[name], *COMMON, "--data", pictures)))
    status, _, err = command("train", *words, "--out", "whole")
    assert status == 0, err
    rng, run = random.Random(7), Run(offline / "killed")
    for kind in kinds:
        begun = ("--resume", str(run.folder), "--checkpoint-minutes", "0", "--no-report")
        victim = Victim(begun if run.folder.exists() else (*words, "--out", str(run.folder)), run)
        # A file that is being written is whole some milliseconds later.
        assert victim.kill(kind, 0 if kind == "writing" else rng.uniform(0, 0.2))
    assert not run.is_finished
    status, _, err = command("train", "--resume", run.folder, "--checkpoint-minutes", 0, "--no-report")
    assert status == 0, err
    assert "going on after epoch " in err
    assert differences(Run(offline / "whole"), run) == []
    assert len(read_json(run.environment)["resumed"]) == len(kinds)
    assert not list(run.checkpoints.glob(".partial-*"))


def test_a_full_disk_and_a_damaged_checkpoint(
    pictures: Path, command: Command, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system itself refuses the bytes: a limit on the size of a file stands for the disk that is full."""
    resource = pytest.importorskip("resource")
    from filelock import FileLock

    from tinysight.training.callbacks import Checkpointer

    write = Checkpointer._write

    def write_on_a_full_disk(self: Any, epoch: int, step: int) -> None:
        limit = 4096 if epoch == EPOCHS else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write(self, epoch, step)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    words = ("train", "mnist-softmax", "--data", pictures, *COMMON[:-2])
    assert command(*words, "--out", "whole")[0] == 0
    with monkeypatch.context() as patched:
        patched.setattr(Checkpointer, "_write", write_on_a_full_disk)
        status, _, err = command(*words, "--out", "full")
    assert status == 2
    assert err.splitlines()[-1].startswith("tinysight: the disk is full: ")
    assert err.splitlines()[-1].endswith("try again, with `tinysight train --resume full`")
    run = Run(offline / "full")
    names = sorted(path.name for path in run.checkpoints.glob("*.npz"))
    assert names == ["checkpoint-000001-00000000.npz", "checkpoint-000002-00000000.npz"]
    with FileLock(run.checkpoints / "training.lock"):
        assert command("train", "--resume", "full")[::2] == (
            2, "tinysight: the run 'full' is being trained by another process\n",
        )  # fmt: skip
    # What a process that was killed, and a calibration of the interrupted model, leave in the run.
    run.uncalibrated.folder.mkdir()
    for path in (run.calibration, run.uncalibrated.keras_model, run.folder / ".partial-1", run.plots / ".partial-2"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"left")
    damaged = run.checkpoints / names[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    status, _, err = command("train", "--resume", "full", "--no-report")
    assert status == 0
    assert f"{names[1]} is damaged: left out, going on from the one before it" in err.splitlines()
    assert "going on after epoch 1, step 0" in err.splitlines()
    assert differences(Run(offline / "whole"), run) == []
    assert not run.calibration.exists()
    assert not run.uncalibrated.folder.exists()
    assert list(run.folder.rglob(".partial-*")) == []
    assert command("train", "--resume", "full")[::2] == (
        2, "tinysight: the run 'full' is finished; there is nothing to resume\n",
    )  # fmt: skip
