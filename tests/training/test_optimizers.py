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
        if name == "muon" and len(variable.shape) == 4:
            # Muon gives kernels a length of its own: one a filter.
            expected = (variable.shape[3] / np.prod(variable.shape)) ** 0.5
        np.testing.assert_allclose(np.array(variable), expected, rtol=1e-5, err_msg=variable.path)


def test_muon_turns_a_kernel_by_an_orthogonal_matrix(keras_module: Any) -> None:
    from tinysight.training.muon import Muon, orthogonalized

    generator = np.random.default_rng(3)
    shape = (3, 3, 4, 6)
    gradient = generator.normal(size=shape).astype(np.float32)
    kernel = keras_module.Variable(generator.normal(size=shape).astype(np.float32))
    before = np.array(kernel)
    optimizer = Muon(0.5, kernel_ratio=0.2, kernel_momentum=0.0, num_iterations=5)
    optimizer.apply([keras_module.ops.convert_to_tensor(gradient)], [kernel])
    scaled = before * (6**0.5 / np.linalg.norm(before))
    turn = ((scaled - np.array(kernel)) / (0.5 * 0.2)).reshape(36, 6)
    # All singular values near 1, and the same directions as the gradient's own.
    assert (abs(np.linalg.svd(turn, compute_uv=False) - 1) < 0.35).all()
    left, _, right = np.linalg.svd(gradient.reshape(36, 6), full_matrices=False)
    expected = left @ right
    assert np.sum(turn * expected) / np.linalg.norm(turn) / np.linalg.norm(expected) > 0.98
    wide = generator.normal(size=(4, 30)).astype(np.float32)
    np.testing.assert_allclose(
        np.array(orthogonalized(wide, 5)), np.array(orthogonalized(wide.T.copy(), 5)).T, atol=1e-5
    )


def test_muon_follows_its_momentum(keras_module: Any) -> None:
    from tinysight.training.muon import Muon, orthogonalized

    generator = np.random.default_rng(5)
    first, second = generator.normal(size=(2, 1, 1, 5, 3)).astype(np.float32)
    kernel = keras_module.Variable(np.ones((1, 1, 5, 3), np.float32))
    optimizer = Muon(1.0, kernel_ratio=0.1, kernel_momentum=0.5)
    expected = np.array(kernel)
    momentum = np.zeros_like(first)
    for gradient in (first, second):
        optimizer.apply([keras_module.ops.convert_to_tensor(gradient)], [kernel])
        momentum = 0.5 * momentum + gradient
        turn = np.array(orthogonalized((gradient + 0.5 * momentum).reshape(5, 3), 3)).reshape(1, 1, 5, 3)
        expected = expected * (3**0.5 / np.linalg.norm(expected)) - 0.1 * turn
        np.testing.assert_allclose(np.array(kernel), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (9, 9)])
@pytest.mark.parametrize("num_iterations", [1, 3, 5])
def test_small_products_come_to_what_iterating_the_matrix_does(
    shape: tuple[int, int], num_iterations: int, keras_module: Any
) -> None:
    """Also where some directions are ten thousand times weaker than others."""
    from tinysight.training.muon import QUINTIC, orthogonalized

    generator = np.random.default_rng(5)
    left, _, right = np.linalg.svd(generator.normal(size=shape), full_matrices=False)
    matrix = (left * np.geomspace(20, 0.002, min(shape))) @ right
    expected = matrix / np.linalg.norm(matrix)
    first, second, third = QUINTIC
    for _ in range(num_iterations):
        gram = expected @ expected.T
        expected = first * expected + (second * gram + third * gram @ gram) @ expected
    found = np.asarray(orthogonalized(keras_module.ops.convert_to_tensor(matrix.astype(np.float32)), num_iterations))
    assert found.dtype == np.float32
    # Each iteration makes what is weak three times stronger, and what was rounded with it.
    np.testing.assert_allclose(found, expected, atol=1e-5 * 3**num_iterations)


def test_no_sum_of_muon_is_left_to_the_order_in_which_summands_come(keras_module: Any) -> None:
    """TensorFlow makes sums of three into one operation and adds them up as they come: other bits from run to run."""
    if keras_module.backend.backend() != "tensorflow":
        pytest.skip("an optimisation of TensorFlow's graphs")
    import tensorflow as tf

    from tinysight.training.muon import orthogonalized

    options = tf.compat.v1.RunOptions(output_partition_graphs=True)
    found = tf.compat.v1.RunMetadata()
    matrix = np.random.default_rng(3).normal(size=(36, 6)).astype(np.float32)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        fed = tf.compat.v1.placeholder(tf.float32, matrix.shape)
        session.run(orthogonalized(fed, 3), {fed: matrix}, options, found)
    operations = {node.op for graph in found.partition_graphs for node in graph.node}
    assert "AddV2" in operations
    assert operations.isdisjoint({"AddN", "TemporaryVariable"})
