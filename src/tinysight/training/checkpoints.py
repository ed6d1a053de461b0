"""The state of a training on disk: whole or absent, checked when read, the one before kept until the next is safe."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.files import atomic_path, digest, write_text
from tinysight.training.history import Row

NUM_KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{6})-(\d{8})\.npz")


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """Everything that the rest of a training depends on.

    Attributes:
        epoch: epochs that are whole.
        step: steps of the next epoch that are done.
        seconds: of training so far.
        history: a row a whole epoch.
        variables: weights, optimizer, metrics and random states, in the trainee's order.
    """

    epoch: int
    step: int
    seconds: float
    history: list[Row]
    variables: list[NDArray[Any]]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes a checkpoint and its digest, then removes all but the newest two."""
    path = folder / f"checkpoint-{checkpoint.epoch:06d}-{checkpoint.step:08d}.npz"
    about = {
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "seconds": checkpoint.seconds,
        "history": checkpoint.history,
        "num_variables": len(checkpoint.variables),
    }
    arrays = {f"variable_{index}": value for index, value in enumerate(checkpoint.variables)}
    with atomic_path(path) as temporary:
        np.savez(temporary, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    write_text(_digest_path(path), digest(path) + "\n")
    for old in _paths(folder)[NUM_KEPT:]:
        _digest_path(old).unlink(missing_ok=True)
        old.unlink(missing_ok=True)
    return path


def read_newest(folder: Path) -> tuple[Checkpoint | None, list[Path]]:
    """The newest checkpoint that is whole, and newer ones that are damaged."""
    damaged: list[Path] = []
    for path in _paths(folder):
        if _is_whole(path):
            return _read(path), damaged
        damaged.append(path)
    return None, damaged


def _paths(folder: Path) -> list[Path]:
    """Newest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=lambda path: path.name, reverse=True)


def _digest_path(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _is_whole(path: Path) -> bool:
    try:
        return _digest_path(path).read_text(encoding="utf-8").strip() == digest(path)
    except OSError:
        return False


def _read(path: Path) -> Checkpoint:
    with np.load(path, allow_pickle=False) as archive:
        about = json.loads(archive["about"].tobytes())
        variables = [archive[f"variable_{index}"] for index in range(about.pop("num_variables"))]
    return Checkpoint(**about, variables=variables)
