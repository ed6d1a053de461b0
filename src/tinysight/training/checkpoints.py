"""The state of a training on disk: whole or absent, checked when read, the one before kept until the next is safe."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.files import atomic_path, digest, sync_folder, write_text
from tinysight.training.history import Row

NUM_KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{6})-(\d{8})\.npz")


@dataclass(frozen=True, kw_only=True, eq=False)
class Best:
    """The best epoch so far, by its validation images.

    Attributes:
        epoch: its number, from 1.
        score: what epochs are compared by, larger is better: validation accuracy, then less validation loss.
        weights: the net's, after it.
    """

    epoch: int
    score: tuple[float, float]
    weights: list[NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """Everything that the rest of a training depends on.

    Attributes:
        epoch: epochs that are whole.
        step: steps of the next epoch that are done.
        seconds: of training so far.
        learning_rate: at which the epoch began that the last step belongs to.
        history: a row a whole epoch.
        variables: weights, optimizer, metrics and random states, in the trainee's order: arrays, or what becomes one.
        best: the best epoch so far, of a training that keeps it.
    """

    epoch: int
    step: int
    seconds: float
    learning_rate: float
    history: list[Row]
    variables: list[Any]
    best: Best | None = None


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes a checkpoint and its digest, then removes all but the newest two and the newest at an epoch's end."""
    path = folder / f"checkpoint-{checkpoint.epoch:06d}-{checkpoint.step:08d}.npz"
    about = {
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "seconds": checkpoint.seconds,
        "learning_rate": checkpoint.learning_rate,
        "history": checkpoint.history,
        "num_variables": len(checkpoint.variables),
    }
    arrays = {f"variable_{index}": value for index, value in enumerate(checkpoint.variables)}
    if checkpoint.best is not None:
        about["best"] = {"epoch": checkpoint.best.epoch, "score": checkpoint.best.score}
        arrays |= {f"best_{index}": value for index, value in enumerate(checkpoint.best.weights)}
    with atomic_path(path) as temporary:
        np.savez(temporary, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
        # Before the checkpoint has its name, so that a kill between the two leaves none that looks damaged.
        write_text(_digest_path(path), digest(temporary) + "\n")
    # The new one must be safe before the old ones go.
    sync_folder(folder)
    _remove_old(folder)
    return path


def _remove_old(folder: Path) -> None:
    paths = _paths(folder)
    kept = {*paths[:NUM_KEPT], *[path for path in paths if is_epochs_end(path)][:1]}
    for path in set(paths) - kept:
        path.unlink(missing_ok=True)
    for path in folder.glob("checkpoint-*.sha256"):
        if not path.with_suffix(".npz").exists():
            path.unlink(missing_ok=True)


def read_newest(folder: Path, *, at_epochs_end: bool = False) -> tuple[Checkpoint | None, list[Path]]:
    """The newest checkpoint that is whole, and newer ones that are damaged.

    Args:
        folder: where they lie.
        at_epochs_end: whether to look only at those between two epochs.
    """
    damaged: list[Path] = []
    for path in _paths(folder):
        if at_epochs_end and not is_epochs_end(path):
            continue
        if _is_whole(path):
            return _read(path), damaged
        damaged.append(path)
    return None, damaged


def _paths(folder: Path) -> list[Path]:
    """Newest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=lambda path: path.name, reverse=True)


def is_epochs_end(path: Path) -> bool:
    """Whether the checkpoint of that name is one between two epochs."""
    name = _NAME.fullmatch(path.name)
    return name is not None and int(name[2]) == 0


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _is_whole(path: Path) -> bool:
    try:
        return _digest_path(path).read_text(encoding="utf-8").strip() == digest(path)
    except (OSError, UnicodeDecodeError):
        return False


def _read(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as archive:
        about = json.loads(archive["about"].tobytes())
        variables = [archive[f"variable_{index}"] for index in range(about.pop("num_variables"))]
        best = about.pop("best", None)
        if best is not None:
            weights = [archive[name] for name in archive.files if name.startswith("best_")]
            best = Best(epoch=best["epoch"], score=tuple(best["score"]), weights=weights)
    return Checkpoint(**about, variables=variables, best=best)
