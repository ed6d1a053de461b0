"""From the losses of a learning-rate range test to a rate: numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError

Curve = NDArray[np.float64]
# Below so many steps there is no curve to read.
MIN_STEPS = 20
# Width of the smoothing, in decades of the rate: neighbours within a factor of about 1.5 are averaged.
SMOOTHING_DECADES = 0.15
# A fall below this share of the loss is rounding.
NO_FALL = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class RangeTest:
    """A loss for each rate that was tried.

    Attributes:
        rates: float64, shape (steps,), rising by the same factor from step to step.
        losses: float64, shape (steps,), each step's own.
        end: why it ended: "highest rate", "diverged" or "not finite".
    """

    rates: Curve
    losses: Curve
    end: str


def rising_rates(lowest: float, highest: float, num_steps: int) -> Curve:
    """float64, shape (num_steps,): from `lowest` to `highest` by a constant factor."""
    return np.geomspace(lowest, highest, num_steps)


def smooth(rates: Curve, losses: Curve) -> Curve:
    """Losses averaged with their neighbours, a Gaussian over the logarithm of the rate.

    It looks to both sides: a running mean of past steps would lag, and every rate read from it would be too high.
    """
    decades = np.log10(rates)
    weights = np.exp(-0.5 * ((decades[:, None] - decades[None, :]) / SMOOTHING_DECADES) ** 2)
    return np.asarray(weights @ losses / weights.sum(axis=1), np.float64)


@dataclass(frozen=True, kw_only=True)
class RateChoice:
    """What a range test says.

    Attributes:
        suggested: the rate at which the loss fell fastest.
        lowest_loss: the rate at which it stood lowest; from there on it rises.
        fall: how far it had fallen there, as a share of where it began.
    """

    suggested: float
    lowest_loss: float
    fall: float


def choose_rate(test: RangeTest) -> RateChoice:
    """The rate at which the smoothed loss falls fastest, over the logarithm of the rate, before its lowest point.

    The other common reading is a tenth of the rate of the lowest point. That point moves with the length of the test,
    as later steps begin from lower losses, and a tenth is a guess; the steepest fall came nearer to the rates that the
    recipes use (docs/log.md).

    Raises:
        ModelError: when there are too few steps to read, or the loss fell at no rate.
    """
    if len(test.rates) < MIN_STEPS:
        raise ModelError(
            f"the loss diverged after {len(test.rates)} steps; expected at least {MIN_STEPS} to read a rate from:"
            f" begin at a lower rate than {test.rates[0] if len(test.rates) else 0:g} with --lowest"
        )
    smoothed = smooth(test.rates, test.losses)
    bottom = int(smoothed.argmin())
    slopes = np.gradient(smoothed, np.log10(test.rates))[: bottom + 1]
    fall = float(1 - smoothed[bottom] / smoothed[0])
    if bottom == 0 or fall < NO_FALL:
        raise ModelError(
            f"the loss fell at no rate from {test.rates[0]:g} to {test.rates[-1]:g}: begin lower with --lowest, take"
            " more --steps, or look at scaling and labels"
        )
    return RateChoice(
        suggested=float(test.rates[slopes.argmin()]),
        lowest_loss=float(test.rates[bottom]),
        fall=fall,
    )
