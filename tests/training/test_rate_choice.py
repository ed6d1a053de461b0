"""From a curve of losses to a rate, on curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tinysight.errors import ModelError
from tinysight.training.rate_choice import RangeTest, choose_rate, rising_rates, smooth

RATES = rising_rates(1e-5, 10.0, 200)


def valley(fastest: float, lowest: float) -> np.ndarray:  # type: ignore[type-arg]
    """Falls fastest at one rate, and rises from another one on."""
    decades = np.log10(RATES)
    return 2.3 - np.tanh(3 * (decades - np.log10(fastest))) + 5 * np.clip(decades - np.log10(lowest), 0, None) ** 2


def test_rates_rise_by_one_factor() -> None:
    assert (RATES[0], RATES[-1], len(RATES)) == (pytest.approx(1e-5), pytest.approx(10.0), 200)
    np.testing.assert_allclose(RATES[1:] / RATES[:-1], 10 ** (6 / 199))


@pytest.mark.parametrize("fastest", [1e-3, 0.05, 0.4])
def test_the_steepest_fall_is_found_through_noise(fastest: float) -> None:
    losses = valley(fastest, 20 * fastest) + np.random.default_rng(1).normal(0, 0.05, len(RATES))
    choice = choose_rate(RangeTest(rates=RATES, losses=losses, end="highest rate"))
    assert fastest / 1.6 < choice.suggested < 1.6 * fastest
    assert fastest < choice.lowest_loss < 100 * fastest
    assert 0.4 < choice.fall < 0.8


def test_smoothing_does_not_lag() -> None:
    spike = np.zeros(len(RATES))
    spike[100] = 1.0
    smoothed = smooth(RATES, spike)
    assert smoothed.argmax() == 100
    np.testing.assert_allclose(smoothed[95:100], smoothed[105:100:-1])
    np.testing.assert_allclose(smooth(RATES, np.full(200, 1.7)), 1.7)


@pytest.mark.parametrize(
    ("rates", "losses", "words"),
    [
        (RATES, np.linspace(2.0, 3.0, 200), "the loss fell at no rate from 1e-05 to 10"),
        (RATES, np.full(200, 2.0), "the loss fell at no rate"),
        (RATES[:5], np.ones(5), "diverged after 5 steps; expected at least 20"),
        (RATES[:0], np.ones(0), "diverged after 0 steps"),
    ],
    ids=["rises", "flat", "short", "nothing"],
)
def test_a_curve_without_an_answer(rates: np.ndarray, losses: np.ndarray, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ModelError, match=words):
        choose_rate(RangeTest(rates=rates, losses=losses, end="diverged"))
