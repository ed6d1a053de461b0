"""Training by the clock: what is chosen, and that the recipe which is written down replays it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import stripes

from tinysight.images import ImageSet
from tinysight.recipe import load_recipe, make_recipe

BASE = load_recipe("quick")


def images_of(side: int = 32, count: int = 400) -> ImageSet:
    generator = np.random.default_rng(0)
    return ImageSet(
        images=generator.integers(0, 256, (count, side, side, 3), np.uint8),
        labels=generator.integers(0, 2, count).astype(np.int32),
        class_names=("a", "b"),
    )


def plan_with(
    monkeypatch: pytest.MonkeyPatch,
    seconds: list[float],
    left: float,
    images: ImageSet,
    num_scored: int = 0,
    **fields: Any,
) -> Any:
    """The plan where a step of each net that is timed takes so many seconds, in turn, and nothing else takes any time.

    On a processor that computes in float32 alone; nothing else is timed than is told.
    """
    from tinysight.training import plan

    told = list(seconds)
    monkeypatch.setattr(plan, "resolve_precision", lambda recipe: recipe.replace(precision="float32"))
    monkeypatch.setattr(plan, "_seconds_per_step", lambda *_: told.pop(0))
    made = plan.make_plan(BASE.replace(**fields), images, None, time.perf_counter() + left, num_scored)
    assert told == []
    return made


@pytest.mark.parametrize(
    ("seconds", "left", "chosen"),
    [
        # The next one would see too few images, by what is known of its cost.
        ([0.2], 60.0, 0),
        # The next one would see enough by that, and does not when it is timed; does.
        ([0.1, 0.6], 60.0, 0),
        ([0.1, 0.3], 60.0, 1),
        ([0.02, 5.0, 0.3], 600.0, 2),
        ([0.02, 0.4], 600.0, 3),
        # Too slow a machine for even the smallest: that one all the same.
        ([100.0], 60.0, 0),
    ],
)
def test_the_largest_net_that_sees_enough(
    keras_module: Any, monkeypatch: pytest.MonkeyPatch, seconds: list[float], left: float, chosen: int
) -> None:
    from tinysight.training.candidates import CANDIDATES

    plan = plan_with(monkeypatch, seconds, left, images_of())
    expected = BASE.replace(**CANDIDATES[chosen].fields)
    for name in CANDIDATES[chosen].fields:
        assert getattr(plan.recipe, name) == getattr(expected, name)
    taken = seconds[-1] if chosen else seconds[0]
    left -= CANDIDATES[chosen].later
    assert plan.num_images == pytest.approx(left / taken * min(expected.batch_size, 400), rel=0.01, abs=1)


def test_where_timing_would_take_too_long_its_known_cost_will_do(
    keras_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinysight.training import plan
    from tinysight.training.candidates import CANDIDATES

    monkeypatch.setattr(plan, "TIMING_SHARE", 0.0)
    made = plan_with(monkeypatch, [0.06], 60.0, images_of())
    assert (made.recipe.widths, made.recipe.group_convolutions) == ((32, 64, 128), 2)
    cost = CANDIDATES[1].cost["float32"] / CANDIDATES[0].cost["float32"]
    assert made.seconds_per_step == pytest.approx(0.06 * cost)


@pytest.mark.parametrize(("side", "strides", "kernel"), [(16, 1, 2), (32, 1, 2), (64, 2, 2), (128, 4, 4), (256, 4, 4)])
def test_larger_images_are_taken_at_larger_steps(
    keras_module: Any, monkeypatch: pytest.MonkeyPatch, side: int, strides: int, kernel: int
) -> None:
    plan = plan_with(monkeypatch, [1.0], 10.0, images_of(side, 8))
    assert (plan.recipe.stem_strides, plan.recipe.stem_kernel) == (strides, kernel)


def test_many_epochs_shift_images(keras_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan_with(monkeypatch, [0.2], 10.0, images_of(count=4000)).recipe.translate == 0
    assert plan_with(monkeypatch, [0.2], 10.0, images_of(count=400)).recipe.translate == 2


def test_nothing_is_timed_where_there_is_hardly_time(keras_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_with(monkeypatch, [], 5.0, images_of())
    assert plan.recipe.widths == (32, 64, 128)
    assert plan.num_images > 0


def test_the_forward_pass_of_a_net_that_trains_in_less_precision_is_timed(
    keras_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made in float32, whatever a step takes."""
    from tinysight.training import plan

    monkeypatch.setattr(plan, "resolve_precision", lambda recipe: recipe.replace(precision="bfloat16"))
    monkeypatch.setattr(plan, "_seconds_per_step", lambda *_: 1e-4)
    (found, none) = (plan.make_plan(BASE, images_of(), None, time.perf_counter() + 60, count) for count in (100, 0))
    # By the steps it would be 50 microseconds.
    assert none.scoring_seconds + 1e-3 < found.scoring_seconds < 10


@pytest.mark.parametrize(("seconds", "left"), [([], 5.0), ([0.2], 60.0)], ids=["untimed", "timed"])
def test_averaged_views_take_their_time(
    keras_module: Any, monkeypatch: pytest.MonkeyPatch, seconds: list[float], left: float
) -> None:
    scoring = [
        plan_with(
            monkeypatch, seconds, left, images_of(), 1000, flip_predictions=flip, shift_predictions=shift
        ).scoring_seconds
        for flip, shift in ((False, 0), (True, 0), (True, 1))
    ]
    assert scoring[0] > 0
    assert scoring == pytest.approx([scoring[0], 2 * scoring[0], 6 * scoring[0]])


def test_the_recipe_of_a_training_by_the_clock_replays_it(
    command: Callable[..., tuple[int, str, str]], offline: Path
) -> None:
    status, _, err = command("train", "quick", "--data", "mnist-5k", "--minutes", 0.1, "--no-report", "--out", "clock")
    assert status == 0, err
    assert "--minutes 0.1: 32-64-128 with 1 convolution a group, first layer in steps of 1, " in err
    # How many epochs there will be is not known, how much time is left is.
    left = [float(line.rpartition("images/s")[2].split()[0]) for line in err.splitlines() if line.startswith("epoch ")]
    assert "epoch 1  accuracy" in err
    assert left == sorted(left, reverse=True)
    assert 0 <= left[-1] < 1
    written = load_recipe("clock/recipe.toml")
    assert written.schedule == "recorded"
    assert written.schedule_steps[0] == 0
    assert written.steps is not None
    # Of 18 steps each, as the report and `evaluate` name them.
    assert written.epochs == -(-written.steps // 18)
    assert max(written.schedule_rates) <= np.float32(written.learning_rate)
    status, _, err = command("train", "clock/recipe.toml", "--no-report", "--out", "again")
    assert status == 0, err
    import keras

    first, second = (keras.models.load_model(f"{name}/model.keras").get_weights() for name in ("clock", "again"))
    for mine, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_fewer_images_of_ones_own_than_a_batch(command: Callable[..., tuple[int, str, str]], offline: Path) -> None:
    """An epoch is one step of all of them."""
    images, test = stripes(60, side=20), stripes(20, side=20, seed=1)
    np.savez("own.npz", x_train=images.images, y_train=images.labels, x_test=test.images, y_test=test.labels)
    status, _, err = command("train", "--data", "own.npz", "--minutes", 0.08, "--no-report", "--out", "clock")
    assert status == 0, err
    written = load_recipe("clock/recipe.toml")
    assert written.steps == written.epochs
    status, _, err = command("train", "clock/recipe.toml", "--data", "own.npz", "--no-report", "--out", "again")
    assert status == 0, err
    first, second = (np.load(f"{name}/predictions.npz")["test_probabilities"] for name in ("clock", "again"))
    np.testing.assert_array_equal(first, second)


def test_a_net_that_was_named_is_kept(command: Callable[..., tuple[int, str, str]], offline: Path) -> None:
    words = ("--data", "mnist-5k", "--minutes", 0.1, "--no-report", "--out", "clock")
    status, _, err = command("train", "mnist-softmax", *words)
    assert status == 0, err
    told = r"^--minutes 0\.1: the net of mnist-softmax, \d+ s of training, about [\d.]+ epochs$"
    assert re.search(told, err, re.MULTILINE)
    written, shipped = load_recipe("clock/recipe.toml"), load_recipe("mnist-softmax")
    assert (written.model, written.layers, written.parameters) == ("cnn", shipped.layers, 7_850)
    assert (written.schedule, written.translate, written.stem_strides) == ("recorded", 0, shipped.stem_strides)
    assert written.steps is not None
    assert written.steps > 1


@pytest.mark.parametrize(
    ("recipe", "words", "name"),
    [
        ("quick", ("--epochs", 3), "epochs"),
        ("mnist-softmax", ("--set", "steps=5"), "steps"),
        ("quick", ("--set", "widths=8,16"), "widths"),
        ("quick", ("--set", "seed=3", "--set", "precision=float32"), "precision"),
        ("quick", ("--set", "translate=1"), "translate"),
        ("quick", ("--batch-size", 100), "batch_size"),
        ("quick", ("--set", "loss=categorical_crossentropy"), "loss"),
    ],
)
def test_what_the_clock_chooses_cannot_be_set(
    command: Callable[..., tuple[int, str, str]], offline: Path, recipe: str, words: tuple[Any, ...], name: str
) -> None:
    status, out, err = command("train", recipe, "--data", "mnist-5k", "--minutes", 0.1, *words)
    assert (status, out) == (2, "")
    assert f"{name} is chosen by --minutes: leave one of them out" in err
    assert list(offline.iterdir()) == []


@pytest.mark.parametrize("minutes", ["0", "-1", "soon", "nan", "inf"])
def test_times_that_are_none(command: Callable[..., tuple[int, str, str]], minutes: str) -> None:
    status, out, err = command("train", "quick", "--minutes", minutes)
    assert (status, out) == (2, "")
    assert "minutes" in err


@pytest.mark.parametrize("minutes", [0.01, float("nan"), float("inf")])
def test_times_that_are_none_in_python(minutes: float) -> None:
    from tinysight.errors import InvalidValueError
    from tinysight.jobs.settings import Settings

    with pytest.raises(InvalidValueError, match=r"minutes is .*; expected a number from 0.05 on"):
        Settings(minutes=minutes)
    with pytest.raises(InvalidValueError, match="checkpoint_minutes is -1"):
        Settings(checkpoint_minutes=-1)


def test_no_time_for_a_profile(command: Callable[..., tuple[int, str, str]], offline: Path) -> None:
    status, out, err = command("train", "quick", "--data", "mnist-5k", "--minutes", 0.1, "--profile")
    assert (status, out) == (2, "")
    assert "--profile times a net for longer than --minutes has to spare" in err
    assert list(offline.iterdir()) == []


@pytest.mark.parametrize("side", [8, 9, 64])
def test_every_net_fits_images_of_any_side(keras_module: Any, side: int) -> None:
    from tinysight.models.registry import build_training_net
    from tinysight.training.candidates import CANDIDATES
    from tinysight.training.plan import _for_images

    images = images_of(side, 8)
    # A recipe that says nothing of its loss gets the one that smoothed labels need.
    base = make_recipe({"name": "mine", "model": "fast"})
    for candidate in CANDIDATES:
        recipe = _for_images(base.replace(**candidate.fields), images)
        assert recipe.loss == "categorical_crossentropy"
        assert build_training_net(recipe, images.image_shape, 2).output_shape == (None, 2)
