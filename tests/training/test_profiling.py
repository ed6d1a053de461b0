"""Where the time of a step goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_data import small_data

from tinysight.errors import InvalidValueError
from tinysight.images import ImageSet
from tinysight.recipe import make_recipe
from tinysight.training.profiling import ADVICE, StepProfile

RECIPE = make_recipe({"model": "fast", "widths": (8,), "batch_size": 16, "translate": 1, "optimizer": "muon"})


def images_of(count: int) -> ImageSet:
    generator = np.random.default_rng(0)
    return ImageSet(
        images=generator.integers(0, 256, (count, 8, 8, 3), np.uint8),
        labels=generator.integers(0, 2, count).astype(np.int32),
        class_names=("a", "b"),
    )


@pytest.mark.parametrize("micro_batch_size", [None, 6])
@pytest.mark.parametrize("count", [200, 10])
def test_parts_of_a_step_are_timed_and_nothing_moves(
    keras_module: Any, count: int, micro_batch_size: int | None
) -> None:
    from tinysight.models.registry import build_training_net
    from tinysight.training.fit import compile_trainee, make_feed
    from tinysight.training.profiling import profile_step

    recipe = RECIPE.replace(micro_batch_size=micro_batch_size)
    images = images_of(count)
    net = build_training_net(recipe, (8, 8, 3), 2)
    feed = make_feed(recipe, images)
    trainee = compile_trainee(recipe, net, feed.num_steps)
    trainee.optimizer.build(trainee.trainable_variables)
    before = [np.array(variable) for variable in trainee.variables]
    profile = profile_step(trainee, feed, num_timed=6)
    assert profile.batch_size == min(16, count)
    assert profile.step > 0
    assert min(profile.to_dict().values()) >= 0
    assert profile.forward > 0 or profile.backward > 0
    assert profile.reading > 0
    for old, variable in zip(before, trainee.variables, strict=True):
        np.testing.assert_array_equal(old, np.array(variable))


def test_pytorch_has_no_profile(keras_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinysight.data.validation import split_for_training
    from tinysight.jobs import train

    monkeypatch.setattr(keras_module.backend, "backend", lambda: "torch")
    data = small_data()
    with pytest.raises(InvalidValueError, match="times a step on TensorFlow and JAX; KERAS_BACKEND is torch"):
        train._profile(RECIPE, data, split_for_training(RECIPE, data))


def test_in_words() -> None:
    profile = StepProfile(batch_size=100, reading=1.0, augmenting=1.0, forward=3.0, backward=5.0, updating=1.0)
    lines = profile.words().splitlines()
    assert lines[0] == "a step of 100 images takes 10.0 ms (10,000 images/s):"
    assert [line.split()[0] for line in lines[1:5]] == ["10%", "30%", "50%", "10%"]
    assert "never waits" in lines[5]
    assert lines[6] == f"most of it is the backward pass: {ADVICE['backward pass']}"


def test_slow_reading_is_told() -> None:
    profile = StepProfile(batch_size=1, reading=9.0, augmenting=0.0, forward=1.0, backward=1.0, updating=1.0)
    assert "longer than the step: the net waits for images" in profile.words()
