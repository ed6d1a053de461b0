"""What a worker does once Keras is there: the same `fit` as on one machine, with its share of every batch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras

from tinysight.cluster.storage import Storage, open_storage
from tinysight.cluster.worker import Task
from tinysight.models.registry import build_training_net
from tinysight.training.checkpoints import Checkpoint
from tinysight.training.fit import fit
from tinysight.training.history import Row
from tinysight.training.sharing import Share


def train_share(task: Task, rank: int, count: int, checkpoint: Checkpoint | None, rows: list[Any]) -> None:
    """Trains together with the other workers, from `checkpoint` or from the beginning, to the end.

    Args:
        task: what is trained.
        rank: this worker's place.
        count: how many there are.
        checkpoint: where to go on from, or None.
        rows: where the history's rows go as they come.
    """
    recipe, train = task.recipe, task.train
    keras.utils.set_random_seed(recipe.seed)
    net = build_training_net(recipe, train.image_shape, train.num_classes)
    for variable, value in zip(net.variables, task.weights, strict=True):
        variable.assign(value)
    with tempfile.TemporaryDirectory(prefix="tinysight-") as name:
        scratch = Path(name)
        storage = open_storage(task.checkpoints) if rank == 0 else None
        fit(
            recipe,
            net,
            train,
            task.validation,
            rows=task.rows,
            history_path=scratch / "history.csv",
            checkpoints=None if storage is None else storage.folder(scratch / "checkpoints"),
            checkpoint_minutes=task.checkpoint_minutes,
            resume=checkpoint,
            quiet=True,
            callbacks=[] if storage is None else [Telling(rows, checkpoint), Sending(storage)],
            adapt=False,
            whole_epochs=False,
            share=Share(rank=rank, count=count),
        )
        if storage is not None:
            storage.send()


class Telling(keras.callbacks.Callback):
    """Keeps each epoch's figures for whoever asks."""

    def __init__(self, rows: list[Row], checkpoint: Checkpoint | None) -> None:
        super().__init__()
        self.rows = rows
        self.rows += [] if checkpoint is None else checkpoint.history

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.rows.append({"epoch": epoch + 1} | {name: float(value) for name, value in (logs or {}).items()})


class Sending(keras.callbacks.Callback):
    """Brings checkpoints to where they belong: each when the next step begins, as this stands before their writer."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.storage.send()
