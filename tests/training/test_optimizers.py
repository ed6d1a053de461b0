"""Optimizers by name: their rates and their weight decay."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from tinysight.recipe import Optimizer, make_recipe


def net_of(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((8, 8, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(4)]
    )


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_a_step_of_each(name: str, keras_module: Any) -> None:
    from tinysight.training.optimizers import OPTIMIZERS, make_optimizer

    assert tuple(OPTIMIZERS) == get_args(Optimizer)
    net = net_of(keras_module)
    optimizer = make_optimizer(make_recipe({"optimizer": name}), net, [0.3, 0.2, 0.1])
    assert type(optimizer).__name__.lower() == name
    before = [np.array(v) for v in net.trainable_variables]
    for _ in range(2):
        optimizer.apply([keras_module.ops.ones_like(v) for v in net.trainable_variables], net.trainable_variables)
    after = [np.array(v) for v in net.trainable_variables]
    for old, new in zip(before, after, strict=True):
        assert np.isfinite(new).all()
        assert not np.array_equal(old, new)
    # The rate of the third step.
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_weight_decay_is_decoupled_and_of_kernels_only(name: str, keras_module: Any) -> None:
    from tinysight.training.optimizers import make_optimizer

    net = net_of(keras_module)
    for variable in net.trainable_variables:
        variable.assign(keras_module.ops.ones_like(variable))
    recipe = make_recipe({"optimizer": name, "learning_rate": 0.1, "weight_decay": 0.5})
    optimizer = make_optimizer(recipe, net, None)
    # Without a gradient nothing moves but what decays.
    optimizer.apply([keras_module.ops.zeros_like(v) for v in net.trainable_variables], net.trainable_variables)
    for variable in net.trainable_variables:
        expected = 1 - 0.1 * 0.5 if len(variable.shape) > 1 else 1.0
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-5, err_msg=variable.path)
