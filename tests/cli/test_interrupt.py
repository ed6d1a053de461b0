"""Ctrl-C, as a real signal to a real process."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from whole_commands import Trained, arguments, environment

from tinysight.recipe import load_recipe
from tinysight.runs import Run, read_summary
from tinysight.training.history import read_history

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")


def interrupted(cwd: Path, after: str, *words: object) -> tuple[int, str, str]:
    """(status, stdout, stderr) of a training that gets SIGINT at the first line on stderr that begins with `after`."""
    with _heeding_sigint():
        process = subprocess.Popen(
            arguments("train", *words), cwd=cwd, env=environment(cwd / "empty-cache"), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith(after):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate()
    # Where the signal came while Python ran a string, as it does to make a dataclass, it ends itself by the same signal
    # at exit, although the exception was caught. A shell calls both 130.
    status = 128 + signal.SIGINT if process.returncode == -signal.SIGINT else process.returncode
    return status, out, "".join(lines) + err


@contextlib.contextmanager
def _heeding_sigint() -> Iterator[None]:
    """A shell starts what it runs in the background with SIGINT ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_after_a_whole_epoch(trained: Trained, tmp_path: Path) -> None:
    words = ("mnist-cnn", "--data", "mnist-5k", "--epochs", 500, "--seed", 1, "--no-report", "--out", "run", "--json")
    status, out, err = interrupted(tmp_path, "epoch 1/500", *words)
    assert status == 130
    summary = json.loads(out)
    run = Run(tmp_path / "run")
    assert summary["interrupted"]
    assert 1 <= summary["epochs"] < 500
    assert f"interrupted: keeping epoch {summary['epochs']} of 500, the last whole one" in err.splitlines()
    assert read_summary(run) == summary
    assert len(read_history(run.history)) == summary["epochs"]
    assert summary["test_accuracy"] > 0.75
    assert run.onnx_model.is_file()
    assert "Traceback" not in err
    # Of another seed than the shared run, so another curve from the first epoch on.
    assert read_history(run.history)[0]["loss"] != read_history(trained.run.history)[0]["loss"]


def test_of_a_training_by_the_clock_the_recipe_replays_what_was_kept(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    """Epochs of 18 steps; the one that had begun is neither kept nor recorded."""
    words = ("quick", "--data", "mnist-5k", "--minutes", 0.4, "--no-report", "--out", "run", "--json")
    status, out, err = interrupted(tmp_path, "epoch 1  ", *words)
    assert status == 130, err
    summary, written = json.loads(out), load_recipe(str(tmp_path / "run" / "recipe.toml"))
    assert summary["interrupted"]
    assert written.steps == 18 * summary["epochs"]
    assert written.schedule_steps[-1] < written.steps
    assert command("train", tmp_path / "run" / "recipe.toml", "--no-report", "--out", tmp_path / "again")[0] == 0
    # Not the files themselves: the order in which tf2onnx writes weights differs from process to process.
    first, second = (
        np.load(run.predictions)["test_probabilities"] for run in (Run(tmp_path / "run"), Run(tmp_path / "again"))
    )
    np.testing.assert_array_equal(first, second)


def test_before_the_first_whole_epoch(tmp_path: Path) -> None:
    words = ("mnist-softmax", "--data", "mnist-5k", "--batch-size", 1, "--out", "run")
    status, out, err = interrupted(tmp_path, "mnist-softmax on mnist-5k", *words)
    assert (status, out) == (130, "")
    # The short one when the signal came even before the training was set up.
    assert err.splitlines()[-1] in (
        "tinysight: interrupted before the first epoch was whole: nothing was kept", "tinysight: interrupted",
    )  # fmt: skip
    assert "Traceback" not in err
    assert not Run(tmp_path / "run").is_finished
