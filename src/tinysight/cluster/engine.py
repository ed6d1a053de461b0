"""A Ray cluster: found or started, checked, and left again."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tinysight.cluster.storage import found_from_everywhere, open_storage
from tinysight.errors import InvalidValueError
from tinysight.native_output import without_native_stderr

# How long a connection to the head of a cluster may take to be taken, seconds.
ANSWER_SECONDS = 5.0
CLIENT = "ray://"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        address: as it was asked for.
        num_workers: how many processes work on it.
        kind: "cpu" or "gpu": of which every worker has one.
        storage: where checkpoints go, as `tinysight.cluster.storage.open_storage` takes it; None for the run folder.
    """

    address: str
    num_workers: int
    kind: str
    storage: str | None


@contextlib.contextmanager
def connected(
    address: str, num_workers: int, *, storage: str | None = None, device: str = "auto", shared_steps: bool = True
) -> Iterator[Cluster]:
    """The cluster at `address`, until the block ends; with "local", one on this machine that ends with it.

    Args:
        address: "local", "auto" (one that runs on this machine already), HOST:PORT or ray://HOST:PORT.
        num_workers: how many processes are wanted, each with a processor or a GPU of its own.
        storage: where checkpoints go: a folder that all machines see, or a URL that fsspec knows; None for the run.
        device: "cpu" or "gpu"; "auto" for GPUs where there are enough of them.
        shared_steps: whether the workers train one net together, which takes JAX, rather than each its own.

    Raises:
        InvalidValueError: when Ray is not installed, nothing answers at the address, it has too few processors, or
            nothing can be written to the storage.
    """
    _check(address, num_workers, device)
    storage = None if storage is None else found_from_everywhere(storage)
    if shared_steps:
        check_backend()
    if storage is not None:
        place = open_storage(storage)
        place.remove_sign(place.leave_sign())
    _join(address)
    import ray

    try:
        yield Cluster(
            address=address, num_workers=num_workers, storage=storage,
            kind=_kind(address, num_workers, device, ray.cluster_resources()),
        )  # fmt: skip
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    """Connects this process.

    Raises:
        InvalidValueError: when that fails.
    """
    # Ray reports its use to its makers unless it is told not to; it reads this when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray says on standard output, among our results, when a worker dies, also where logs are switched off.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    # Workers are what the machine is for: Ray would have them wait for everything else on it.
    os.environ.setdefault("RAY_worker_niceness", "0")
    if address == "local" and not os.environ.keys() & {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
        # Ray would write a secret of its own into the home folder, for which later clusters would ask, too.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        with without_native_stderr():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if address == "auto" and isinstance(error, ConnectionError):
            why = "no cluster runs on this machine; `ray start --head` starts one"
        else:
            token = "a cluster that asks for a token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
            why = f"{_first_line(error)}; {token}"
        raise InvalidValueError(f"--cluster {address}: {why}") from None


def _check(address: str, num_workers: int, device: str) -> None:
    """What can be told without Ray, whose import takes a second."""
    if num_workers < 1:
        raise InvalidValueError(f"--workers {num_workers}: expected 1 or more")
    if ":" in device:
        raise InvalidValueError(f"--device {device}: on a cluster every worker has a GPU of its own; expected gpu")
    if importlib.util.find_spec("ray") is None:
        raise InvalidValueError(
            "--cluster needs the package ray, which is not installed: pip install 'tinysight[cluster]'"
        )
    if address in ("local", "auto"):
        return
    host, separator, port = address.removeprefix(CLIENT).rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise InvalidValueError(f"--cluster {address}: expected local, auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        # Ray itself would try for half a minute.
        raise InvalidValueError(
            f"--cluster {address}: nothing answers there ({error.strerror or error}); `ray start --head` on a machine"
            " prints the address of a new cluster"
        ) from None


def check_backend() -> None:
    """Whether Keras can run on JAX here, which is what steps are shared on.

    Raises:
        InvalidValueError: when another backend was chosen, or JAX is not installed.
    """
    chosen = sys.modules["keras"].backend.backend() if "keras" in sys.modules else os.environ.get("KERAS_BACKEND")
    if chosen not in (None, "", "jax"):
        raise InvalidValueError(f"--cluster trains on JAX, KERAS_BACKEND is {chosen}: unset it, or set it to jax")
    if importlib.util.find_spec("jax") is None:
        raise InvalidValueError(
            "--cluster needs the package jax, which is not installed: pip install 'tinysight[cluster]'"
        )


def _kind(address: str, num_workers: int, device: str, resources: dict[str, float]) -> str:
    """What every worker gets one of.

    Raises:
        InvalidValueError: when there are too few.
    """
    counts = {"cpu": int(resources.get("CPU", 0)), "gpu": int(resources.get("GPU", 0))}
    kind = device if device != "auto" else "gpu" if counts["gpu"] >= num_workers else "cpu"
    if counts[kind] < num_workers:
        name = {"cpu": "processors", "gpu": "GPUs"}[kind]
        raise InvalidValueError(
            f"--workers {num_workers}: the cluster at {address} has {counts[kind]} {name}, of which every worker needs"
            f" one; expected --workers {counts[kind]} or less"
            if counts[kind]
            else f"--workers {num_workers}: the cluster at {address} has no {name}"
        )
    return kind


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
