"""Plots that a second process draws are those that this one would draw."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinysight.evaluation.predictions import Predictions
from tinysight.files import write_json
from tinysight.images import ImageSet
from tinysight.report import plots_beside as beside
from tinysight.report.plots import write_plots
from tinysight.runs import Run
from tinysight.training.history import write_history

NAMES = ("a cat", "Straße", "狗")


def begun(folder: Path) -> Run:
    run = Run(folder)
    folder.mkdir()
    write_history(run.history, [{"epoch": 1, "accuracy": 0.5, "loss": 1.0, "learning_rate": 0.01}])
    write_json(run.data, {"validation": "none"})
    return run


def answers(num_images: int = 40) -> tuple[ImageSet, Predictions]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(NAMES), num_images).astype(np.int32)
    images = rng.integers(0, 256, (num_images, 8, 10, 3)).astype(np.uint8)
    probabilities = rng.dirichlet(np.ones(len(NAMES)), num_images).astype(np.float32)
    test = ImageSet(images=images, labels=labels, class_names=NAMES)
    return test, Predictions(probabilities=probabilities, labels=labels)


def drawn(run: Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.plots.iterdir()}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """As if this process had not imported matplotlib; the processes that are started."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*words, **options):  # type: ignore[no-untyped-def]
        started.append(popen(*words, **options))
        return started[-1]

    monkeypatch.setattr(beside, "_is_better_here", lambda: False)
    monkeypatch.setattr(beside.subprocess, "Popen", start)
    return started


def test_the_same_bytes(tmp_path: Path, elsewhere: list[subprocess.Popen[bytes]]) -> None:
    test, predictions = answers()
    here, there = begun(tmp_path / "here"), begun(tmp_path / "there")
    write_plots(here, test, predictions, metric="accuracy")
    with beside.plots_beside(there, "accuracy") as draw:
        draw(test, predictions)
    assert [process.returncode for process in elsewhere] == [0]
    assert len(drawn(here)) == 6
    assert drawn(there) == drawn(here)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of a process are of POSIX")
def test_one_task_that_fails_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    """In a process of its own, as this one has threads."""
    program = f"""
import sys
from pathlib import Path
from tinysight.report.plots_beside import _at_once
folder = Path({str(tmp_path)!r})
good = [(folder / name).touch for name in "ab"]
print(_at_once(good), _at_once([good[0], (folder / "no" / "folder").touch, lambda: sys.exit(0), good[1]]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "0 1\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_of_a_process_that_fails_the_work_is_done_here(
    tmp_path: Path, elsewhere: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = shutil.which("false")
    if failing is None:
        pytest.skip("needs a program that fails")
    monkeypatch.setattr(sys, "executable", failing)
    run = begun(tmp_path / "run")
    with beside.plots_beside(run, "accuracy") as draw:
        draw(*answers())
    assert [process.returncode for process in elsewhere] == [1]
    assert len(drawn(run)) == 6


@pytest.mark.parametrize("interpreter", ["", None, "/there/is/no/python"])
def test_without_an_interpreter_the_work_is_done_here(
    tmp_path: Path, elsewhere: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch, interpreter: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", interpreter)
    run = begun(tmp_path / "run")
    with beside.plots_beside(run, "accuracy") as draw:
        draw(*answers())
    assert elsewhere == []
    assert len(drawn(run)) == 6


def test_a_module_in_the_folder_where_it_was_typed_is_not_imported(
    tmp_path: Path, elsewhere: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "matplotlib.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with beside.plots_beside(begun(Path("run")), "accuracy") as draw:
        draw(*answers())
    assert [process.returncode for process in elsewhere] == [0]


def test_what_goes_wrong_meanwhile_leaves_no_process_and_nothing_half_written(
    tmp_path: Path, elsewhere: list[subprocess.Popen[bytes]]
) -> None:
    run = begun(tmp_path / "run")
    with pytest.raises(RuntimeError, match="meanwhile"), beside.plots_beside(run, "accuracy"):
        raise RuntimeError("meanwhile")
    assert [process.returncode for process in elsewhere] == [1]
    assert set(drawn(run)) <= {"accuracy.png", "loss.png", "learning_rate.png"}


def test_where_matplotlib_is_imported_it_draws_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(beside.subprocess, "Popen", refuse)
    monkeypatch.setattr(beside, "num_cores", lambda: 8)
    run = begun(tmp_path / "run")
    with beside.plots_beside(run, "accuracy") as draw:
        draw(*answers())
    assert len(drawn(run)) == 6
