"""Ends a trial of a search that does worse than the others did at the same epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


class Pruning(keras.callbacks.Callback):
    """Tells Optuna the validation accuracy of each epoch, and stops where it says so.

    Args:
        trial: Optuna's.
        metric: Keras's name of the accuracy that is followed.

    Raises:
        optuna.TrialPruned: at an epoch's end.
    """

    def __init__(self, trial: Any, metric: str) -> None:
        super().__init__()
        self.trial, self.metric = trial, metric

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        import optuna

        self.trial.report(float((logs or {})[f"val_{self.metric}"]), epoch + 1)
        if self.trial.should_prune():
            raise optuna.TrialPruned


class Ended(Exception):  # noqa: N818 - no error, as Optuna's own.
    """A trial that is to do no more."""


class Following(keras.callbacks.Callback):
    """Keeps the validation accuracy of each epoch for another process, and ends the trial when that says so.

    Args:
        metric: Keras's name of the accuracy that is followed.
        scores: where (epoch, accuracy) go.
        ended: whether the trial is to end.

    Raises:
        Ended: at the next step.
    """

    def __init__(self, metric: str, scores: list[tuple[int, float]], ended: Callable[[], bool]) -> None:
        super().__init__()
        self.metric, self.scores, self.ended = metric, scores, ended

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.ended():
            raise Ended

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.scores.append((epoch + 1, float((logs or {})[f"val_{self.metric}"])))
        if self.ended():
            raise Ended
