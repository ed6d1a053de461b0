"""The clock of a training with --minutes, on a clock of our own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tinysight.recipe import load_recipe


@pytest.mark.parametrize(("deadline", "least_seconds"), [(103.0, 0.5), (101.0, 1.0)])
def test_it_ends_within_half_a_look_but_never_because_of_tracing(
    keras_module: Any, monkeypatch: pytest.MonkeyPatch, deadline: float, least_seconds: float
) -> None:
    from tinysight.training import budget

    times = [100.0]
    monkeypatch.setattr(budget, "time", SimpleNamespace(perf_counter=lambda: times[-1]))
    timed = budget.TimeBudget(load_recipe("sprint"), deadline, steps_per_execution=10, least_seconds=least_seconds)
    timed.set_model(SimpleNamespace(optimizer=keras_module.optimizers.SGD(), stop_training=False))
    timed.set_params({"steps": 1000})
    timed.on_train_begin()
    timed.on_epoch_begin(0)
    stopped = []
    # Two seconds of tracing and ten steps; then ten steps take 0.4 s.
    for look, now in enumerate((102.0, 102.4, 102.8)):
        times.append(now)
        timed.on_train_batch_end(10 * look + 9)
        stopped.append(timed.model.stop_training)
    assert stopped == [False, False, True]
    assert timed.steps == 30
    # Up from nothing when tracing is over, not somewhere on the way down.
    assert dict(timed.schedule)[10] == pytest.approx(budget.SMALLEST_RATE * timed.recipe.learning_rate)


@pytest.mark.parametrize(
    ("paces", "deadline"),
    [([0.1] * 3, 103.0), ([0.2] * 3, 101.0), ([0.05] * 3, 104.0), ([9.0, 0.1, 0.1], 101.0), ([0.01], 103.0)],
    ids=["as planned", "half as fast", "twice as fast", "after a pause", "too early to tell"],
)
def test_scoring_is_left_the_time_that_the_pace_of_the_steps_asks_for(
    keras_module: Any, monkeypatch: pytest.MonkeyPatch, paces: list[float], deadline: float
) -> None:
    from tinysight.training import budget

    times = [90.0]
    monkeypatch.setattr(budget, "time", SimpleNamespace(perf_counter=lambda: times[-1]))
    timed = budget.TimeBudget(
        load_recipe("sprint"), 103.0, steps_per_execution=10, least_seconds=0.5, seconds_per_step=0.1,
        scoring_seconds=2.0,
    )  # fmt: skip
    timed.set_model(SimpleNamespace(optimizer=keras_module.optimizers.SGD(), stop_training=False))
    timed.set_params({"steps": 1000})
    timed.on_train_begin()
    timed.on_epoch_begin(0)
    # The first ten steps are traced besides.
    for look, pace in enumerate([0.0, *paces]):
        times.append(times[-1] + 10 * pace)
        timed.on_train_batch_end(10 * look + 9)
    assert timed.deadline == pytest.approx(deadline)


def test_an_interrupted_training_is_recorded_up_to_what_was_kept(keras_module: Any) -> None:
    from tinysight.training.budget import TimeBudget

    recipe = load_recipe("sprint")
    timed = TimeBudget(recipe, 100.0, steps_per_execution=10)
    timed.steps, timed.schedule = 40, [(0, 0.1), (10, 0.3), (20, 0.2), (30, 0.1)]
    whole, kept = timed.recorded(recipe), timed.recorded(recipe, 20)
    assert (whole.steps, whole.schedule_steps) == (40, (0, 10, 20, 30))
    assert (kept.steps, kept.schedule_steps, kept.schedule_rates) == (20, (0, 10), (0.1, 0.3))
