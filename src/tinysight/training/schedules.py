"""Learning rates as functions of the step alone, so that they survive saving and resuming."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tinysight.recipe import Recipe


class StepTable(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate read from a table, one float32 entry a step; past its end the last entry stands.

    A table computed once is the same on every backend to the last bit, and can be written down as it was used.
    """

    def __init__(self, rates: Any) -> None:
        self.rates = np.asarray(rates, dtype=np.float32)

    def __call__(self, step: Any) -> Any:
        index = ops.minimum(ops.cast(step, "int32"), len(self.rates) - 1)
        return ops.take(ops.convert_to_tensor(self.rates), index)

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist()}


def count_steps(recipe: Recipe, steps_per_epoch: int) -> int:
    """Steps in all."""
    return recipe.steps or recipe.epochs * steps_per_epoch


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> Any:
    """The learning rate of every step: float32, shape (steps in all,)."""
    num_steps = count_steps(recipe, steps_per_epoch)
    steps = np.arange(num_steps)
    if recipe.schedule == "recorded":
        current = np.searchsorted(np.asarray(recipe.schedule_steps), steps, side="right") - 1
        return np.asarray(recipe.schedule_rates, np.float32)[current]
    factors = _SCHEDULES[recipe.schedule](recipe, steps, num_steps, steps_per_epoch)
    return (recipe.learning_rate * factors).astype(np.float32)


def _constant(recipe: Recipe, steps: Any, num_steps: int, steps_per_epoch: int) -> Any:
    return np.ones(num_steps)


def _exponential(recipe: Recipe, steps: Any, num_steps: int, steps_per_epoch: int) -> Any:
    return recipe.schedule_decay ** (steps // steps_per_epoch)


def _rise(recipe: Recipe, steps: Any, num_steps: int) -> tuple[Any, Any]:
    """How far the rising part has come (0..1, above 1 past it), and the falling part (below 0 before it, ..1)."""
    warmup = recipe.warmup * num_steps
    rising = (steps + 1) / warmup if warmup else np.full(num_steps, np.inf)
    return rising, (steps + 1 - warmup) / (num_steps - warmup)


def _triangular(recipe: Recipe, steps: Any, num_steps: int, steps_per_epoch: int) -> Any:
    """Linear up, linear down to nothing. Source: Smith, 2015, https://arxiv.org/abs/1506.01186."""
    rising, falling = _rise(recipe, steps, num_steps)
    # The last step keeps a hundredth of a step's slope, so that it still learns.
    return np.where(rising < 1, rising, np.clip(1 - falling, 0.01 / num_steps, 1))


def _cosine(recipe: Recipe, steps: Any, num_steps: int, steps_per_epoch: int) -> Any:
    """Source: Loshchilov and Hutter, SGDR, 2016, https://arxiv.org/abs/1608.03983."""
    return (1 + np.cos(np.pi * steps / num_steps)) / 2


def _one_cycle(recipe: Recipe, steps: Any, num_steps: int, steps_per_epoch: int) -> Any:
    """Cosine from 1/25 up to 1, cosine down to 1/250,000. Source: Smith, 2018, https://arxiv.org/abs/1803.09820."""
    rising, falling = _rise(recipe, steps, num_steps)
    up = 1 / 25 + (1 - 1 / 25) * (1 - np.cos(np.pi * np.clip(rising, 0, 1))) / 2
    down = 1 / 250_000 + (1 - 1 / 250_000) * (1 + np.cos(np.pi * np.clip(falling, 0, 1))) / 2
    return np.where(rising < 1, up, down)


_SCHEDULES = {
    "constant": _constant,
    "exponential": _exponential,
    "triangular": _triangular,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
