"""What a training that is resumed needs: the data, backend and checkpoint it had, and nobody else in its folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysight.data.validation import TrainingSplit, same_split, split_for_training
from tinysight.errors import DiskFullError, RunError, TrainingStoppedError
from tinysight.files import read_json, remove_partial, write_json
from tinysight.images import DataSet
from tinysight.jobs.settings import Say, Settings
from tinysight.recipe import Recipe
from tinysight.runs import Run, open_run, read_summary

if TYPE_CHECKING:
    from tinysight.training.checkpoints import Checkpoint


def open_unfinished(path: str | Path) -> Run:
    """The run at `path`, if there is something to go on with.

    Raises:
        RunError: when there is no run, it is finished, or it was trained by the clock.
    """
    run = open_run(path, finished=False)
    if run.is_finished and not read_summary(run)["interrupted"]:
        raise RunError(f"the run '{path}' is finished; there is nothing to resume")
    if not run.environment.is_file() or not run.data.is_file() or not run.splits.is_file():
        raise RunError(f"the run '{path}' ended before its training began: train it again")
    if read_json(run.environment).get("minutes"):
        raise RunError(
            f"the run '{path}' was trained by the clock (--minutes), which cannot be resumed: train it again"
        )
    return run


def same_data(
    run: Run, recipe: Recipe, data: DataSet | None, data_dir: str | Path | None
) -> tuple[DataSet, TrainingSplit]:
    """The run's data, loaded again where it does not come with the call, and cut as it was.

    Raises:
        RunError: when it is not what the run was trained on.
        DataError: when it cannot be had.
    """
    from tinysight.data.source import load_again
    from tinysight.data.unchanged import first_changed

    described = read_json(run.data)
    data = load_again(described, data_dir, splits=()) if data is None else data
    split = split_for_training(recipe, data)
    same_cut = same_split(run.splits, split) and described["train_counts"] == split.train_counts().tolist()
    if not same_cut or first_changed(described, data):
        raise RunError(
            f"the data set {data.name} is not the one that the run '{run.folder}' was trained on: restore it as it was,"
            " or train anew"
        )
    return data, split


def choose_same_backend(environment: dict[str, Any], device: str, say: Say) -> None:
    """The backend that the training began on, and a word where it will not go on bit for bit."""
    from tinysight.training.backend import choose_backend

    began_on = environment["backend"]
    if "keras" not in sys.modules and importlib.util.find_spec(began_on) is not None:
        os.environ.setdefault("KERAS_BACKEND", began_on)
    choose_backend(device)
    from tinysight.training.environment import describe_environment

    now = describe_environment(environment["seed"])
    differing = [
        f"{name} is {now['versions'].get(name, 'gone')}, was {version}"
        for name, version in environment["versions"].items()
        if name != "tinysight" and now["versions"].get(name) != version
    ]
    differing += [
        f"{name} was {environment[name]}" for name in ("backend", "devices") if now[name] != environment[name]
    ]
    if differing:
        say(f"the training goes on, but not bit for bit as it would have: {'; '.join(differing)}")


def read_checkpoint(run: Run, say: Say) -> Checkpoint | None:
    """The newest whole checkpoint; damaged ones are told and removed, so that they do not count as newer ones."""
    from tinysight.training.checkpoints import read_newest

    for folder in (run.folder, run.plots, run.checkpoints):
        remove_partial(folder)
    checkpoint, damaged = read_newest(run.checkpoints)
    for path in damaged:
        say(f"{path.name} is damaged: left out, going on from the one before it")
        path.unlink()
    if checkpoint is None:
        say("no whole checkpoint: starting from the beginning")
    else:
        say(f"going on after epoch {checkpoint.epoch}, step {checkpoint.step}")
    return checkpoint


def forget_calibration(run: Run) -> None:
    """Removes what `calibrate` left in an interrupted run: it is of a model that the resumed training replaces."""
    run.calibration.unlink(missing_ok=True)
    shutil.rmtree(run.uncalibrated.folder, ignore_errors=True)


def note_resumption(run: Run, environment: dict[str, Any]) -> dict[str, Any]:
    """The environment with the time of this resumption, written down."""
    times = [*environment.get("resumed", []), datetime.now(UTC).isoformat(timespec="seconds")]
    environment = environment | {"resumed": times}
    write_json(run.environment, environment)
    return environment


def stopped_by_full_disk(error: DiskFullError, run: Run, settings: Settings) -> TrainingStoppedError:
    """What to say when a file of the run did not fit, with how to go on once there is room."""
    if settings.minutes is not None:
        return TrainingStoppedError(f"{error}, with the same command: a training by the clock cannot be resumed")
    return TrainingStoppedError(f"{error}, with `tinysight train --resume {run.folder}`")


def words_after_interruption(run: Run, on_cluster: bool = False) -> str:
    """What is left when Ctrl-C came and no whole epoch can be kept, or the net is `on_cluster`."""
    if on_cluster:
        return f"interrupted: `tinysight train --resume {run.folder}` goes on from the last checkpoint, if there is one"
    if run.checkpoints.is_dir() and any(run.checkpoints.glob("checkpoint-*.npz")):
        return f"interrupted: `tinysight train --resume {run.folder}` goes on from the last checkpoint"
    return "interrupted before the first epoch was whole: nothing was kept"


@contextlib.contextmanager
def alone_in(run: Run) -> Iterator[None]:
    """Keeps a second process from training the same run at the same time; the system frees it when a process dies.

    Raises:
        RunError: when another process is training it.
    """
    from filelock import FileLock, Timeout

    run.checkpoints.mkdir(exist_ok=True)
    lock = FileLock(run.checkpoints / "training.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"the run '{run.folder}' is being trained by another process") from None
    try:
        yield
    finally:
        lock.release()
