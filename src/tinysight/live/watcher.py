"""What the training tells the live page: little, and seldom enough to cost nothing that can be measured."""

from __future__ import annotations

import math
import time
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinysight.images import ImageSet
from tinysight.live.record import Record
from tinysight.models.serving import gives_probabilities
from tinysight.png import png_uri
from tinysight.runs import Run
from tinysight.training.history import Row, read_history

# Between two pieces of news within an epoch, and between two looks at the samples.
NEWS_SECONDS, SAMPLES_SECONDS = 0.5, 1.0
# From so many points on, every second one goes.
MAX_POINTS = 400
NUM_TOP = 3


class Watcher(keras.callbacks.Callback):
    """Writes a training's curves, time and sample predictions into a record.

    Args:
        record: what the page shows.
        run: whose history file holds the epochs, those before a resumption too.
        metric: the recipe's.
        num_epochs: planned.
        samples: a few images whose predictions are shown, with `words` about them.
        numbers: positions of the samples in the split that they are of.
    """

    def __init__(
        self,
        record: Record,
        run: Run,
        *,
        metric: str,
        num_epochs: int,
        samples: ImageSet,
        numbers: NDArray[np.int64],
        words: str,
    ) -> None:
        super().__init__()
        self.record, self.run, self.metric, self.num_epochs = record, run, metric, num_epochs
        self.samples, self.words = samples, words
        self.uris = [png_uri(image) for image in np.asarray(samples.images)]
        self.numbers = numbers
        self.points: dict[str, list[float]] = {"epoch": [], metric: [], "loss": [], "learning_rate": []}
        self.started: float | None = None
        self.first: int | None = None
        self.told = self.sampled = float("-inf")
        self.probable: bool | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        # A training whose last epoch is a part of one, or that is resumed within one, is fitted in two goes.
        if self.started is None:
            self.started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        if self.first is None:
            self.first = epoch
            self._tell(epoch, {}, history=self._history())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.monotonic()
        if now - self.told < NEWS_SECONDS:
            return
        # Keras names the last step of an execution even where the epoch ended within it.
        steps, before = self.params["steps"] or batch + 1, self.model.steps_before
        place = self.epoch + (before + min(batch + 1, steps)) / (before + steps)
        figures = _finite(logs or {})
        self._add_point(place, figures)
        self._tell(place, figures)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        figures = _finite(logs or {})
        self._add_point(epoch + 1, figures)
        news: dict[str, Any] = {"history": self._history(), "status": self._status(epoch + 1, figures)}
        if time.monotonic() - self.sampled >= SAMPLES_SECONDS or epoch + 1 >= self.num_epochs:
            news["samples"] = self._predicted()
            self.sampled = time.monotonic()
        self._tell(epoch + 1, figures, **news)

    def on_train_end(self, logs: Any = None) -> None:
        self.record.update(status="Training is over; the model is being evaluated and saved.")

    def _tell(self, place: float, figures: dict[str, float], **news: Any) -> None:
        assert self.started is not None
        assert self.first is not None
        now = time.monotonic()
        gone, done = now - self.started, place - self.first
        left = gone / done * max(self.num_epochs - place, 0.0) if done > 0 else None
        self.record.update(
            phase="training",
            epoch=min(math.floor(place) + 1, self.num_epochs),
            num_epochs=self.num_epochs,
            progress=min(place / self.num_epochs, 1.0),
            seconds=round(gone, 1),
            seconds_left=None if left is None else round(left, 1),
            learning_rate=self._rate(),
            now=figures,
            points={name: list(column) for name, column in self.points.items()},
            **news,
        )
        self.told = now

    def _rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _add_point(self, place: float, figures: dict[str, float]) -> None:
        if {"loss", self.metric} - figures.keys():
            return
        values = {"epoch": round(place, 3), "learning_rate": self._rate(), **figures}
        for name, column in self.points.items():
            column.append(float(f"{values[name]:.5g}"))
        if len(self.points["epoch"]) > MAX_POINTS:
            self.points = {name: column[::2] for name, column in self.points.items()}

    def _history(self) -> list[Row]:
        return read_history(self.run.history) if self.run.history.is_file() else []

    def _status(self, num_done: int, figures: dict[str, float]) -> str:
        figure = figures.get(f"val_{self.metric}", figures.get(self.metric))
        what = f"validation {self.metric}" if f"val_{self.metric}" in figures else self.metric
        words = "" if figure is None else f", {what} {figure:.1%}"
        return f"Epoch {num_done} of {self.num_epochs} done{words}."

    def _predicted(self) -> dict[str, Any] | None:
        """The samples with what the net says of them now: called without `predict`, which would compile once more."""
        if not len(self.samples):
            return None
        outputs = self.model(np.asarray(self.samples.images), training=False)
        if self.probable is None:
            self.probable = gives_probabilities(self.model.net)
        rows = keras.ops.convert_to_numpy(outputs if self.probable else keras.ops.softmax(outputs))
        return {"words": self.words, "images": [self._sample(index, row) for index, row in enumerate(rows)]}

    def _sample(self, index: int, row: NDArray[np.float32]) -> dict[str, Any]:
        names = self.samples.class_names
        best = np.argsort(-row, kind="stable")[:NUM_TOP]
        return {
            "uri": self.uris[index],
            "index": int(self.numbers[index]),
            "true": names[int(self.samples.labels[index])],
            "top": [{"name": names[int(label)], "score": float(np.nan_to_num(row[label]))} for label in best],
        }


def _finite(logs: dict[str, Any]) -> dict[str, float]:
    """JSON has neither NaN nor infinity, and the training stops at both anyhow."""
    values = {name: float(value) for name, value in logs.items()}
    return {name: value for name, value in values.items() if math.isfinite(value)}
