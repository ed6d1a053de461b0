"""What happens beside the training, each concern a Keras callback."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinysight.errors import TrainingStoppedError
from tinysight.recipe import Recipe
from tinysight.training.history import Row, write_history


class HistoryWriter(keras.callbacks.Callback):
    """Keeps a row an epoch and writes all of them each time: epoch, loss, metrics, learning rate, seconds."""

    def __init__(self, path: Path, rates: Any, steps_per_epoch: int) -> None:
        super().__init__()
        self.path, self.rates, self.steps_per_epoch = path, rates, steps_per_epoch
        self.rows: list[Row] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row: Row = {"epoch": epoch + 1}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        row["learning_rate"] = float(self.rates[epoch * self.steps_per_epoch])
        row["seconds"] = time.perf_counter() - self.started
        self.rows.append(row)
        write_history(self.path, self.rows)

    def keep(self, num_epochs: int) -> None:
        """Forgets the rows after the first `num_epochs`, and writes the file anew."""
        del self.rows[num_epochs:]
        write_history(self.path, self.rows)


class LastWholeEpoch(keras.callbacks.Callback):
    """Keeps the weights of the last whole epoch in memory, for an interruption within the next one.

    Attributes:
        kept: (whole epochs, weights after them); one value, so that an interruption cannot come between the two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: tuple[int, list[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.kept = (epoch + 1, self.model.get_weights())


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends a training whose loss became NaN or infinite, with the step and the likely cause.

    Raises:
        TrainingStoppedError: at the first batch end at which it is seen.
    """

    def __init__(self, recipe: Recipe, rates: Any, steps_per_epoch: int) -> None:
        super().__init__()
        self.recipe, self.rates, self.steps_per_epoch = recipe, rates, steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        # On JAX the variables are written back at the end of an epoch; until then the batch is the best that is known.
        step = int(keras.ops.convert_to_numpy(self.model.first_bad_step))
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch) if step >= 0 else (None, batch)
        where = f"step {step_in_epoch + 1} of {self.steps_per_epoch}"
        if epoch is not None:
            where = f"epoch {epoch + 1}, {where}"
        rate = float(self.rates[max(step, 0)])
        raise TrainingStoppedError(
            f"the loss became {'NaN' if math.isnan(loss) else 'infinite'} at {where}: {self._cause(rate)}"
        )

    def _cause(self, rate: float) -> str:
        weights = [keras.ops.convert_to_numpy(weight) for weight in self.model.net.trainable_variables]
        largest = max(
            (float(np.max(np.abs(weight[np.isfinite(weight)]), initial=0.0)) for weight in weights), default=0.0
        )
        if self.recipe.scaling == "none":
            return "pixels are not scaled; try --set scaling=0..1"
        return (
            f"the learning rate of {rate:g} is the likely cause (largest finite weight: {largest:.3g});"
            f" try --set learning_rate={self.recipe.learning_rate / 10:g}"
        )
