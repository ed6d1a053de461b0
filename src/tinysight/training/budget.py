"""Training by the clock: the learning rate follows the time that is gone, and ends when the time is up."""

from __future__ import annotations

import time
from typing import Any

import keras

from tinysight.recipe import Recipe

# Looks at the clock in a budget: the end is missed by at most half an interval.
LOOKS = 150
# Of the highest rate; the last steps still learn.
SMALLEST_RATE = 0.01
# From this share of the time on, the steps' own pace tells how long scoring takes, in times of what was thought before.
# A pause of a machine that others use is not to end a training that has hardly begun.
SURE_FROM, PACES = 0.1, (0.5, 2.0)


class TimeBudget(keras.callbacks.Callback):
    """Moves the learning rate up and down a triangle over the time that is left, and stops when it is up.

    Args:
        recipe: its fields learning_rate and warmup.
        deadline: when training has to be over, on the clock of `time.perf_counter`, seconds.
        steps_per_execution: steps between two looks at the clock.
        least_seconds: for which it trains however late it is, tracing apart.
        seconds_per_step: as they were timed when the deadline was set; 0 for a deadline that stands.
        scoring_seconds: what comes after the deadline and takes as much longer than was thought as the steps do.

    Attributes:
        started: when the first steps were over, which are traced and compiled besides; seconds.
        steps: steps done.
        schedule: (step, rate) wherever the rate changed.
    """

    def __init__(
        self,
        recipe: Recipe,
        deadline: float,
        steps_per_execution: int,
        least_seconds: float = 0.0,
        *,
        seconds_per_step: float = 0.0,
        scoring_seconds: float = 0.0,
    ) -> None:
        super().__init__()
        self.recipe, self.deadline, self.steps_per_execution = recipe, deadline, steps_per_execution
        self.least_seconds = least_seconds
        self.planned, self.seconds_per_step, self.scoring_seconds = deadline, seconds_per_step, scoring_seconds
        self.steps = 0
        self.schedule: list[tuple[int, float]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.started = self.looked = time.perf_counter()
        self.epoch_steps = 0
        self._set_rate(0.0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch_steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        now = time.perf_counter()
        if not self.steps:
            # Tracing tells nothing of the steps to come, and is no part of the triangle.
            self.started = self.looked = now
            self.deadline = self.planned = max(self.deadline, now + self.least_seconds)
            self.traced = min(batch + 1, self.params["steps"])
        took, self.looked = now - self.looked, now
        # Keras names the last step of an execution even where the epoch ended within it.
        done = min(batch + 1, self.params["steps"])
        self.steps += done - self.epoch_steps
        self.epoch_steps = done
        self._keep_pace(now)
        if now + took / 2 >= self.deadline:
            self.model.stop_training = True
            return
        # The rate in the middle of the steps that come now.
        self._set_rate((now + took / 2 - self.started) / (self.deadline - self.started))

    def _keep_pace(self, now: float) -> None:
        """Moves the deadline, where scoring will take longer or shorter than was thought."""
        gone = now - self.started
        if not self.seconds_per_step or gone < SURE_FROM * (self.planned - self.started):
            return
        pace = gone / max(1, self.steps - self.traced) / self.seconds_per_step
        longer = (min(max(pace, PACES[0]), PACES[1]) - 1) * self.scoring_seconds
        self.deadline = max(self.planned - longer, self.started + self.least_seconds)

    def _set_rate(self, gone: float) -> None:
        warmup = self.recipe.warmup
        factor = (gone / warmup if warmup else 1.0) if gone < warmup else (1 - gone) / (1 - warmup)
        rate = self.recipe.learning_rate * max(factor, SMALLEST_RATE)
        self.model.optimizer.learning_rate.assign(rate)
        # As float32 holds it, so that a replay uses the same bits.
        held = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.schedule.append((self.steps, held))

    def recorded(self, recipe: Recipe, kept: int | None = None) -> Recipe:
        """The recipe that replays this training step by step, or its first `kept` steps."""
        kept = self.steps if kept is None else kept
        steps, rates = zip(*dict(self.schedule).items(), strict=True)
        last = max(index for index, step in enumerate(steps) if step < kept) + 1
        return recipe.replace(steps=kept, schedule="recorded", schedule_steps=steps[:last], schedule_rates=rates[:last])
