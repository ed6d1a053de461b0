"""The same training from several seeds: mean, spread, and how sure the mean is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinysight.errors import InvalidValueError
from tinysight.metrics.distributions import student_quantile
from tinysight.metrics.figures import Figure
from tinysight.metrics.intervals import LEVEL, percent


@dataclass(frozen=True)
class Spread:
    """A figure over seeds.

    Attributes:
        mean: the mean with its t interval (Student 1908, Biometrika 6); `n` is the number of seeds. The interval is
            about training again, on the same data: it does not hold the uncertainty of a finite test split.
        std: standard deviation over seeds with n - 1 in the denominator; None for one seed.
        values: the figure of each seed, in order.
    """

    mean: Figure
    std: float | None
    values: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values: `mean` (a figure), `std`, `values`."""
        return {"mean": self.mean.to_dict(), "std": self.std, "values": list(self.values)}


def over_seeds(name: str, values: Sequence[float], level: float = LEVEL) -> Spread:
    """Mean, standard deviation and t interval of one figure over seeds.

    Args:
        name: what the figure is called.
        values: one finite number a seed; with a single one there is a mean, but neither spread nor interval.
        level: how often such an interval holds the mean over all seeds.

    Raises:
        InvalidValueError: when there is no value, one is not finite, or `level` is not between 0 and 1.
    """
    numbers = tuple(float(value) for value in values)
    if not numbers or not all(math.isfinite(number) for number in numbers):
        raise InvalidValueError(f"the figures over seeds are {list(numbers)}; expected one finite number or more")
    mean, num_seeds = float(np.mean(numbers)), len(numbers)
    method = f"Student t over seeds {percent(level)}"
    if num_seeds == 1:
        return Spread(Figure(name, mean, None, None, 1, method), None, numbers)
    std = float(np.std(numbers, ddof=1))
    half = student_quantile(level, num_seeds - 1) * std / math.sqrt(num_seeds)
    return Spread(Figure(name, mean, mean - half, mean + half, num_seeds, method), std, numbers)
