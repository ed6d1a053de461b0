"""Ends a trial of a search that does worse than the others did at the same epoch."""

from __future__ import annotations

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
