"""A worker process: it joins the others and does its share of a training. Keras is imported only when it joins."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from tinysight.cluster.storage import open_storage
from tinysight.images import ImageSet
from tinysight.recipe import Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What all workers of a training are told.

    Attributes:
        recipe, train, validation, rows, checkpoint_minutes: as of `tinysight.training.fit.fit`.
        weights: the net's, as it begins to learn.
        checkpoints: their place, as `open_storage` takes it.
        sign: a word that lies there.
        kind: "cpu" or "gpu".
    """

    recipe: Recipe
    train: ImageSet
    validation: ImageSet | None
    rows: NDArray[Any] | None
    weights: list[NDArray[Any]]
    checkpoints: str
    sign: str
    checkpoint_minutes: float
    kind: str


class Worker:
    """One process of a training.

    Args:
        rank: its place among the workers, from 0; the first one writes checkpoints and tells what happens.
        count: how many there are.
    """

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        self.rows: list[dict[str, float]] = []

    def meeting_point(self) -> str:
        """An address on this machine where the workers can find one another."""
        import ray

        with socket.socket() as free:
            free.bind(("", 0))
            return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

    def hidden_from_here(self, checkpoints: str, sign: str, files: list[str]) -> list[str]:
        """A line for each place that this machine does not see: that of the checkpoints, and files of images."""
        places = [] if open_storage(checkpoints).has_sign(sign) else [checkpoints]
        places += [file for file in files if not os.path.isfile(file)]
        return [f"{place} from {socket.gethostname()}" for place in places]

    def history(self, known: int) -> list[dict[str, float]]:
        """The rows of the epochs after the first `known`, as far as they are done."""
        return self.rows[known:]

    def train(self, task: Task, meeting_point: str, checkpoint: Any) -> None:
        """Does this worker's share; returns when the training is over.

        Args:
            task: what is trained.
            meeting_point: of the first worker.
            checkpoint: where to go on from, or None.

        Raises:
            TinysightError: for what a person can mend.
        """
        join(meeting_point, self.rank, self.count, task.kind)
        from tinysight.cluster.within import train_share

        train_share(task, self.rank, self.count, checkpoint, self.rows)


def join(meeting_point: str, rank: int, count: int, kind: str) -> None:
    """Makes this process one of several that Keras on JAX computes with, each on one device; once a process.

    Args:
        meeting_point: HOST:PORT on the first one's machine.
        rank: its place among them, from 0.
        count: how many there are.
        kind: "cpu" or "gpu".
    """
    if kind == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    if kind == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(meeting_point, count, rank)
    choose_backend("jax", kind)
    import keras

    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))


def choose_backend(name: str | None, device: str) -> None:
    """Chooses Keras's backend for a process that is ours alone.

    Args:
        name: the backend; None for the one that fits the machine.
        device: "auto", "cpu" or "gpu".
    """
    from tinysight.training import backend

    backend.own_process()
    if name:
        os.environ["KERAS_BACKEND"] = name
    with _without_tensorflow() if name == "jax" else contextlib.nullcontext():
        backend.choose_backend(device)


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Has Keras find no TensorFlow, which it would import for seconds and 200 MB, and do without."""
    if "tensorflow" in sys.modules:
        yield
        return
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        yield
        import keras

        # The first to look for TensorFlow; Keras remembers what it found.
        keras.utils.set_random_seed(0)
    finally:
        # Keras takes a module of that name for one that is loaded.
        del sys.modules["tensorflow"]
