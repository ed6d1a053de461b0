"""What happens beside the training, each concern a Keras callback."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinysight.errors import TrainingStoppedError
from tinysight.memory import give_back_heap, give_back_pool
from tinysight.recipe import Recipe
from tinysight.training.checkpoints import Best, Checkpoint, write_checkpoint
from tinysight.training.feed import Feed
from tinysight.training.history import Row, write_history


class HistoryWriter(keras.callbacks.Callback):
    """Keeps a row an epoch and writes all of them each time: epoch, loss, metrics, learning rate, seconds."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[Row] = []
        self.started = time.perf_counter()
        self.learning_rate = 0.0
        self.begun: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        now = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.learning_rate, self.begun = now if self.begun is None else self.begun, None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row: Row = {"epoch": epoch + 1}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        row["learning_rate"] = self.learning_rate
        row["seconds"] = self.seconds()
        self.rows.append(row)
        write_history(self.path, self.rows)

    def seconds(self) -> float:
        """Time of training so far, seconds."""
        return time.perf_counter() - self.started

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Starts from the rows and the time of a checkpoint, and the rate at which its epoch had begun."""
        self.rows = list(checkpoint.history)
        self.begun = checkpoint.learning_rate if checkpoint.step else None
        self.started = time.perf_counter() - checkpoint.seconds

    def keep(self, num_epochs: int) -> None:
        """Forgets the rows after the first `num_epochs`, and writes the file anew."""
        del self.rows[num_epochs:]
        write_history(self.path, self.rows)


class Position(keras.callbacks.Callback):
    """Tells the feed which epoch begins, so that its order never depends on how often Keras looked at it."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.feed.epoch = epoch


class Restore(keras.callbacks.Callback):
    """Puts a checkpoint's state into the trainee when the first epoch begins, after Keras reset its metrics."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.checkpoint: Checkpoint | None = checkpoint

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.checkpoint is not None:
            put_state(self.model, self.checkpoint.variables)
            if not self.checkpoint.step:
                # It holds the metrics of the epoch that had ended.
                self.model.reset_metrics()
        self.checkpoint = None


class Checkpointer(keras.callbacks.Callback):
    """Writes a checkpoint at each epoch's end, and every `minutes` within one.

    It stands after the history writer and the keeper of the best epoch in the list of callbacks: it stores what they
    hold.
    """

    def __init__(
        self, folder: Path, writer: HistoryWriter, feed: Feed, minutes: float, best: BestEpoch | None = None
    ) -> None:
        super().__init__()
        self.folder, self.writer, self.feed, self.interval, self.best = folder, writer, feed, 60 * minutes, best
        self.epoch, self.written = 0, time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # Keras names the last step of an execution even where the epoch ended within it.
        step = self.feed.skip + batch + 1
        if step < (self.feed.stop or self.feed.num_steps) and time.perf_counter() - self.written >= self.interval:
            self._write(self.epoch, step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._write(epoch + 1, 0)

    def _write(self, epoch: int, step: int) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        # NumPy takes their values one after the other as it writes them; all of them would be the state once more.
        checkpoint = Checkpoint(
            epoch=epoch, step=step, seconds=self.writer.seconds(), learning_rate=self.writer.learning_rate,
            history=self.writer.rows, variables=state_variables(self.model),
            best=None if self.best is None else self.best.kept,
        )  # fmt: skip
        write_checkpoint(self.folder, checkpoint)
        self.written = time.perf_counter()


def state_variables(model: keras.Model) -> list[Any]:
    """Everything that a step reads and writes: weights, random states, optimizer and metrics, each once."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return list({id(variable): variable for variable in variables}.values())


def put_state(model: keras.Model, values: list[Any]) -> None:
    """Puts the values of `state_variables` back, all of them."""
    for variable, value in zip(state_variables(model), values, strict=True):
        variable.assign(value)


class BestEpoch(keras.callbacks.Callback):
    """Keeps the net's weights of the epoch with the highest validation accuracy; of equals, that with less loss.

    Args:
        metric: Keras's name of the accuracy that is followed.
        kept: the best epoch so far, of a training that is resumed.
    """

    def __init__(self, metric: str, kept: Best | None = None) -> None:
        super().__init__()
        self.metric, self.kept = metric, kept

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        score = (float(logs[f"val_{self.metric}"]), -float(logs["val_loss"]))
        if self.kept is None or score > self.kept.score:
            weights = [keras.ops.convert_to_numpy(variable) for variable in self.model.net.variables]
            self.kept = Best(epoch=epoch + 1, score=score, weights=weights)

    def restore(self, net: keras.Model) -> int | None:
        """Puts the weights into `net`; returns their epoch, or None where no epoch was whole."""
        if self.kept is None:
            return None
        for variable, value in zip(net.variables, self.kept.weights, strict=True):
            variable.assign(value)
        return self.kept.epoch


class LastWholeEpoch(keras.callbacks.Callback):
    """Keeps the state after the last whole epoch in memory, for an interruption within the next one.

    For a training that writes no checkpoints, which hold the same.

    Attributes:
        kept: (whole epochs, state after them); one value, so that an interruption cannot come between the two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: tuple[int, list[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.kept = (epoch + 1, [keras.ops.convert_to_numpy(variable) for variable in state_variables(self.model)])

    def restore(self) -> int:
        """Puts the state back, all of it, as JAX has given away what a step was reading; returns the whole epochs."""
        assert self.kept is not None
        num_epochs, values = self.kept
        put_state(self.model, values)
        return num_epochs


class GiveBack(keras.callbacks.Callback):
    """Gives memory back that the first step and the end of an epoch leave; it stands after what writes then.

    Args:
        pool: whether also what lies free in TensorFlow's pool goes back at an epoch's end. In one piece it is filled
            anew from its beginning then, where else tensors come to lie ever further apart.
    """

    def __init__(self, *, pool: bool) -> None:
        super().__init__()
        self.pool = pool
        self.has_begun = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.has_begun:
            give_back_heap()
        self.has_begun = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        give_back_heap()
        if self.pool:
            give_back_pool()


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends a training whose loss became NaN or infinite, with the step and the likely cause.

    Raises:
        TrainingStoppedError: at the first batch end at which it is seen.
    """

    def __init__(self, recipe: Recipe, steps_per_epoch: int) -> None:
        super().__init__()
        self.recipe, self.steps_per_epoch = recipe, steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        epoch, step = divmod(int(keras.ops.convert_to_numpy(self.model.first_bad_step)), self.steps_per_epoch)
        where = f"epoch {epoch + 1}, step {step + 1} of {self.steps_per_epoch}"
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        raise TrainingStoppedError(
            f"the loss became {'NaN' if math.isnan(loss) else 'infinite'} at {where}: {self._cause(rate)}"
        )

    def on_train_end(self, logs: Any = None) -> None:
        """The last step's loss is of the weights before it; what it made of them shows in no loss."""
        if not all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in self.model.net.weights):
            rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            raise TrainingStoppedError(f"weights became NaN or infinite in the last step: {self._cause(rate)}")

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
