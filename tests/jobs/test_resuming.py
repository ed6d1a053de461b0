"""`train --resume` beside the good way, and `--profile`, which changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_data import stripes

from tinysight.files import read_json, write_json
from tinysight.runs import Run

Command = Callable[..., tuple[int, str, str]]
WORDS = ("train", "mnist-softmax", "--epochs", 2, "--no-report")


@pytest.fixture
def pictures(offline: Path) -> Path:
    images = stripes(120)
    np.savez(offline / "stripes.npz", images=images.images, labels=images.labels)
    return offline / "stripes.npz"


@pytest.fixture
def begun(pictures: Path, command: Command, offline: Path) -> Run:
    """A run that looks as if its process had died after the first epoch."""
    assert command(*WORDS, "--data", pictures, "--out", "run")[0] == 0
    run = Run(offline / "run")
    run.finished_marker.unlink()
    (run.checkpoints / "checkpoint-000002-00000000.npz").unlink()
    return run


def test_by_the_clock(begun: Run, command: Command) -> None:
    write_json(begun.environment, read_json(begun.environment) | {"minutes": 1.0})
    status, out, err = command("train", "--resume", "run")
    assert (status, out) == (2, "")
    assert err == (
        "tinysight: the run 'run' was trained by the clock (--minutes), which cannot be resumed: train it again\n"
    )


def test_data_that_changed(begun: Run, pictures: Path, command: Command) -> None:
    images = stripes(130)
    np.savez(pictures, images=images.images, labels=images.labels)
    status, out, err = command("train", "--resume", "run")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].endswith(
        "is not the one that the run 'run' was trained on: restore it as it was, or train anew"
    )
    assert not begun.is_finished


def test_pixels_that_changed(begun: Run, pictures: Path, command: Command) -> None:
    images = stripes(120)
    np.savez(pictures, images=255 - images.images, labels=images.labels)
    status, _, err = command("train", "--resume", "run")
    assert status == 2
    assert "is not the one that the run 'run' was trained on" in err


def test_data_that_moved(begun: Run, pictures: Path, command: Command, offline: Path) -> None:
    pictures.rename(offline / "moved.npz")
    status, _, err = command("train", "--resume", "run", "--no-report")
    assert status == 2
    assert err.splitlines()[-1].endswith("there is no such folder or file; --data-dir says where it lies now")
    assert command("train", "--resume", "run", "--no-report", "--data-dir", "moved.npz")[0] == 0
    status, out, err = command("evaluate", "run", "--data-dir", "moved.npz", "--json")
    assert status == 0, err
    assert json.loads(out)["data"] == str(offline / "moved.npz")


def test_without_a_checkpoint_and_with_other_versions(begun: Run, command: Command) -> None:
    before = read_json(begun.environment)
    write_json(begun.environment, before | {"versions": before["versions"] | {"numpy": "1.0"}})
    for path in begun.checkpoints.glob("*.npz"):
        path.unlink()
    status, _, err = command("train", "--resume", "run", "--no-report")
    assert status == 0, err
    assert "no whole checkpoint: starting from the beginning" in err
    assert f"not bit for bit as it would have: numpy is {before['versions']['numpy']}, was 1.0" in err
    assert begun.is_finished


def test_a_profile_is_told_and_changes_nothing(begun: Run, pictures: Path, command: Command, offline: Path) -> None:
    status, _, err = command(*WORDS, "--data", pictures, "--out", "profiled", "--profile")
    assert status == 0, err
    for name in ("scaling and augmentation", "forward pass and loss", "backward pass", "optimizer", "most of it is"):
        assert name in err
    profiled = Run(offline / "profiled")
    assert read_json(profiled.environment)["step_profile"]["step"] > 0
    assert read_json(begun.environment)["step_profile"] is None
    first, second = (np.load(run.predictions)["test_probabilities"] for run in (begun, profiled))
    np.testing.assert_array_equal(first, second)
    assert json.loads(command("evaluate", "profiled", "--json")[1])["num_examples"] == len(first)
