"""What is special about a run whose net is trained on a cluster: what it cannot do, and where its checkpoints lie."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinysight.cluster.engine import Cluster
from tinysight.cluster.storage import open_storage
from tinysight.errors import InvalidValueError, RunError
from tinysight.jobs.settings import Settings
from tinysight.runs import Run

# What needs the net in the process that was started.
NEED_THE_NET = ("minutes", "live", "tensorboard", "profile")


def check_beside_cluster(options: Mapping[str, Any]) -> None:
    """What needs the net in this process cannot be had with a net that is trained elsewhere.

    Args:
        options: by their names; None or False where they were not given.

    Raises:
        InvalidValueError: when one of them was.
    """
    for name in NEED_THE_NET:
        if options[name] is not None and options[name] is not False:
            raise _excluded(f"--{name}")


def check_settings(settings: Settings) -> None:
    """As `check_beside_cluster`, a person's own callbacks too."""
    check_beside_cluster(vars(settings))
    if settings.callbacks:
        raise _excluded("callbacks")


def _excluded(name: str) -> InvalidValueError:
    return InvalidValueError(f"{name} and --cluster exclude each other: the net trains in other processes")


def check_backend(run: Run, environment: dict[str, Any]) -> None:
    """Whether a training that was begun elsewhere can go on on a cluster.

    Raises:
        RunError: when it began on another backend.
    """
    if environment["backend"] != "jax":
        raise RunError(
            f"the run '{run.folder}' began on {environment['backend']}, a cluster trains on jax:"
            " resume it without --cluster"
        )


def describe(cluster: Cluster, run: Run, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a run stores of its cluster: address, number and kind of workers, and the place of its checkpoints.

    Args:
        cluster: that trains it now.
        run: its folder.
        before: what it stored, of a training that is resumed; its checkpoints stay where they are.
    """
    place = None if cluster.storage is None else f"{cluster.storage.rstrip('/')}/{run.name}-{secrets.token_hex(4)}"
    return {
        "address": cluster.address,
        "num_workers": cluster.num_workers,
        "kind": cluster.kind,
        "checkpoints": before["checkpoints"] if before else place,
    }


def place_of_checkpoints(run: Run, described: dict[str, Any]) -> str:
    """Where the checkpoints of `run` lie, as `open_storage` takes it."""
    return described["checkpoints"] or str(run.checkpoints.resolve())


def fetch_checkpoint(run: Run, described: dict[str, Any] | None) -> None:
    """Brings the newest whole checkpoint into the run folder, where it lies elsewhere.

    Raises:
        InvalidValueError: when its place cannot be reached.
    """
    if described is None or described["checkpoints"] is None:
        return
    from tinysight.training.checkpoints import write_checkpoint

    with tempfile.TemporaryDirectory(prefix="tinysight-") as scratch:
        found = open_storage(described["checkpoints"]).newest(Path(scratch))
    if found is not None:
        write_checkpoint(run.checkpoints, found)
