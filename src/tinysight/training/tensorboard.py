"""A training as TensorBoard event files, under the names that Keras's own callback gives them.

Keras's callback counts calls, of which one trains many steps here, begins at zero when a training is resumed, and needs
TensorFlow whatever the backend; the package `tensorboard` alone writes the same files.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

# Steps are written so many times an epoch: enough for a curve, and a small part of a millisecond each.
STEPS_PER_EPOCH = 100


class TensorBoardWriter(keras.callbacks.Callback):
    """Writes loss, metrics and learning rate, per step and per epoch, below a folder's `train` and `validation`.

    Tags are Keras's: `batch_loss` and the like by step, from 1 at the training's first; `epoch_loss` and the like by
    epoch, from 0. Values of steps are means since their epoch began, as Keras reports them.
    """

    def __init__(self, folder: Path, *, steps_per_epoch: int) -> None:
        super().__init__()
        self.folder, self.steps_per_epoch = folder, steps_per_epoch
        self.writers: dict[str, EventFileWriter] = {}
        self.interval = max(1, steps_per_epoch // STEPS_PER_EPOCH)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        # Not 0 in an epoch that a resumed training begins in.
        self.done_before = self.model.steps_before
        self.next_step = 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # Keras names the last step of an execution even where the epoch ended within it.
        step = self.done_before + min(batch + 1, self.params["steps"] or batch + 1)
        if step < self.next_step:
            return
        self.next_step = step + self.interval
        self._write("train", "batch", self.epoch * self.steps_per_epoch + step, self._with_rate(logs))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        figures = logs or {}
        held_out = {name.removeprefix("val_"): value for name, value in figures.items() if name.startswith("val_")}
        learned = {name: value for name, value in figures.items() if not name.startswith("val_")}
        self._write("train", "epoch", epoch, self._with_rate(learned))
        self._write("validation", "epoch", epoch, held_out)
        for writer in self.writers.values():
            writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        for writer in self.writers.values():
            writer.close()
        self.writers = {}

    def _with_rate(self, logs: dict[str, Any] | None) -> dict[str, Any]:
        return {**(logs or {}), "learning_rate": keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)}

    def _write(self, split: str, kind: str, step: int, figures: dict[str, Any]) -> None:
        if not figures:
            return
        if split not in self.writers:
            self.writers[split] = EventFileWriter(str(self.folder / split))
        values = [
            value for name, figure in figures.items() for value in scalar_pb(f"{kind}_{name}", float(figure)).value
        ]
        self.writers[split].add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
