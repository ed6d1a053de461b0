"""Learning rates against values computed by hand."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from tinysight.recipe import Schedule, make_recipe


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def rates(steps_per_epoch: int = 5, **fields: Any) -> list[float]:
    from tinysight.training.schedules import learning_rates

    found = learning_rates(make_recipe({"learning_rate": 1.0, "epochs": 2, **fields}), steps_per_epoch)
    assert found.dtype == np.float32
    return [float(rate) for rate in found]


def test_constant() -> None:
    assert rates(schedule="constant", learning_rate=0.5) == [0.5] * 10


def test_exponential_falls_at_each_epoch() -> None:
    expected = [0.005] * 2 + [0.0045] * 2 + [0.00405] * 2
    found = rates(2, schedule="exponential", schedule_decay=0.9, learning_rate=0.005, epochs=3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_triangular() -> None:
    # Two of ten steps rise to the full rate, then 1/8 less at each of eight.
    expected = [0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0.001]
    np.testing.assert_allclose(rates(schedule="triangular", warmup=0.2), expected, rtol=1e-6)


def test_cosine() -> None:
    expected = [(1 + np.cos(np.pi * step / 10)) / 2 for step in range(10)]
    np.testing.assert_allclose(rates(schedule="cosine"), expected, rtol=1e-6)
    np.testing.assert_allclose(rates(schedule="cosine")[5], 0.5, rtol=1e-6)


def test_one_cycle() -> None:
    found = rates(50, schedule="one_cycle", warmup=0.3)
    peak = int(np.argmax(found))
    assert peak in (29, 30)
    assert found[peak] == pytest.approx(1, abs=1e-3)
    assert found[0] == pytest.approx(1 / 25, abs=5e-3)
    assert found[-1] == pytest.approx(1 / 250_000, rel=0.01)
    assert all(np.diff(found[: peak + 1]) > 0)
    assert all(np.diff(found[peak:]) < 0)


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.2), (1, 0.0), (7, 0.0), (3, 0.99)])
def test_every_rate_is_above_nothing_and_at_most_the_highest(schedule: str, steps: int, warmup: float) -> None:
    recorded = {"schedule_steps": [0], "schedule_rates": [0.5]} if schedule == "recorded" else {}
    found = rates(steps, schedule=schedule, warmup=warmup, epochs=1, **recorded)
    assert len(found) == steps
    assert all(0 < rate <= 1 + 1e-6 for rate in found)


def test_the_table_is_what_keras_reads_and_stands_past_its_end() -> None:
    from tinysight.training.schedules import StepTable

    table = StepTable([0.3, 0.2, 0.1])
    assert [float(table(step)) for step in (0, 1, 2, 3, 1000)] == [np.float32(x) for x in (0.3, 0.2, 0.1, 0.1, 0.1)]
    copy = StepTable.from_config(table.get_config())
    assert float(copy(1)) == float(table(1))
