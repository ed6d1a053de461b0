"""Layers that a batch goes through in parts: their outputs and gradients are those of the whole batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_data import small_recipe, stripes

SHAPE = (9, 9, 3)


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras on TensorFlow."""


def chain(keras: Any, most: list[int]) -> list[Any]:
    """A frozen layer, one that notes how many images go through it at once, a trained one with two weights, pooling."""

    class Noting(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def call(self, images: Any) -> Any:
            import tensorflow as tf

            def note(count: Any) -> Any:
                most.append(int(count))
                return count

            with tf.control_dependencies([tf.py_function(note, [tf.shape(images)[0]], tf.int32)]):
                return tf.ensure_shape(tf.identity(images), images.shape)

    return [
        keras.layers.Conv2D(4, 2, use_bias=False, trainable=False), Noting(),
        keras.layers.Conv2D(5, 3, padding="same", activation="relu"), keras.layers.MaxPooling2D(),
    ]  # fmt: skip


def outputs_and_gradients(model: Any, images: Any, slopes: Any, compiled: bool, size: int | None) -> list[Any]:
    import tensorflow as tf

    def derive(images: Any, slopes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = model(images, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * slopes)
        return outputs, *tape.gradient(loss, [images, *(weight.value for weight in model.trainable_weights)])

    if compiled:
        batch = [tf.TensorSpec((size, *value.shape[1:]), tf.float32) for value in (images, slopes)]
        derive = tf.function(derive, input_signature=batch)
    return [np.asarray(tf.cast(value, tf.float32)) for value in derive(tf.constant(images), tf.constant(slopes))]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("compiled", "size"), [(False, None), (True, None), (True, 11)])
@pytest.mark.parametrize("num_parts", [2, 3, 11])
def test_outputs_and_gradients_are_those_of_the_whole(
    keras_module: Any, num_parts: int, compiled: bool, size: int | None, policy: str
) -> None:
    from tinysight.models.in_parts import InParts

    generator = np.random.default_rng(0)
    images = generator.normal(size=(11, *SHAPE)).astype(np.float32)
    models, most = [], [[], []]
    keras_module.config.set_dtype_policy(policy)
    try:
        for notes, make in zip(most, (keras_module.Sequential, lambda layers: InParts(layers, num_parts)), strict=True):
            inputs = keras_module.Input(SHAPE)
            # Inside of another model, as it is used.
            models.append(keras_module.Model(inputs, make(chain(keras_module, notes))(inputs)))
    finally:
        keras_module.config.set_dtype_policy("float32")
    models[1].set_weights(models[0].get_weights())
    slopes = generator.normal(size=(11, 4, 4, 5)).astype(np.float32)
    for notes in most:
        notes.clear()
    expected, found = (outputs_and_gradients(model, images, slopes, compiled, size) for model in models)
    assert len(found) == 4
    assert max(most[0]) == 11
    assert max(most[1]) == -(-11 // num_parts)
    # Once for the outputs, and once more for the gradients.
    assert sum(most[1]) == 2 * sum(most[0])
    for mine, whole in zip(found, expected, strict=True):
        # bfloat16 has eight bits; sums over whole batches are rougher than those over parts.
        assert np.linalg.norm(mine - whole) <= (1e-5 if policy == "float32" else 0.1) * np.linalg.norm(whole)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("num_parts", [1, 3])
def test_normalisation_sees_a_whole_batch_once(keras_module: Any, policy: str, compiled: bool, num_parts: int) -> None:
    """What is computed again moves no means; what comes after it goes through in parts, or at once, too."""
    from tinysight.models.fused import FusedBatchNormalization
    from tinysight.models.in_parts import InParts

    generator = np.random.default_rng(0)
    images = generator.normal(1, 2, size=(11, *SHAPE)).astype(np.float32)
    models = []
    keras_module.config.set_dtype_policy(policy)
    try:
        for is_whole in (True, False):
            layers = [
                FusedBatchNormalization(momentum=0.5, scale=False), keras_module.layers.ReLU(),
                keras_module.layers.Conv2D(5, 3, padding="same"), keras_module.layers.MaxPooling2D(),
            ]  # fmt: skip
            if not is_whole:
                inner = layers[2:] if num_parts == 1 else [InParts(layers[2:], num_parts)]
                layers = [InParts([*layers[:2], *inner], 1)]
            inputs = keras_module.Input(SHAPE)
            models.append(keras_module.Model(inputs, keras_module.Sequential(layers)(inputs)))
    finally:
        keras_module.config.set_dtype_policy("float32")
    models[1].set_weights(models[0].get_weights())
    slopes = generator.normal(size=(11, 4, 4, 5)).astype(np.float32)
    expected, found = (outputs_and_gradients(model, images, slopes, compiled, 11) for model in models)
    for mine, whole in zip(found, expected, strict=True):
        # In bfloat16 the largest value of a window may be another one.
        assert np.linalg.norm(mine - whole) <= (1e-5 if policy == "float32" else 0.1) * np.linalg.norm(whole)
    means = [model.non_trainable_weights[0].numpy() for model in models]
    np.testing.assert_allclose(means[0], 0.5 * images.mean((0, 1, 2)), rtol=0.01)
    np.testing.assert_allclose(means[1], means[0], rtol=1e-6)


def test_frozen_layers_have_gradients_of_their_inputs(keras_module: Any) -> None:
    from tinysight.models.in_parts import InParts

    layers = chain(keras_module, [])
    whole, parts = keras_module.Sequential(layers), InParts(layers, 3)
    generator = np.random.default_rng(0)
    images = generator.normal(size=(7, *SHAPE)).astype(np.float32)
    slopes = generator.normal(size=(7, 4, 4, 5)).astype(np.float32)
    for model in (whole, parts):
        model.build((None, *SHAPE))
    layers[2].trainable = False
    expected, found = (outputs_and_gradients(model, images, slopes, True, None) for model in (whole, parts))
    assert len(found) == 2
    for mine, its in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-5)


def test_without_training_a_batch_goes_through_at_once(keras_module: Any) -> None:
    from tinysight.models.in_parts import InParts

    most: list[int] = []
    model = InParts(chain(keras_module, most), 4)
    model.build((None, *SHAPE))
    model(np.zeros((8, *SHAPE), np.float32))
    assert max(most) == 8


@pytest.mark.parametrize(
    ("batch_size", "values", "itemsize", "expected"),
    [
        (500, (31, 31, 64), 2, 4),
        (500, (15, 15, 256), 2, 4),
        (500, (31, 31, 64), 4, 8),
        # 48 megabytes are not many.
        (500, (16, 16, 187), 2, 1),
        (2, (10_000, 10_000, 1), 4, 2),
    ],
)
def test_parts_hold_sixteen_megabytes_at_most(
    batch_size: int, values: tuple[int, ...], itemsize: int, expected: int
) -> None:
    from tinysight.models.in_parts import count_parts

    assert count_parts(batch_size, values, itemsize) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # The second group's parts lie within layers with a normalisation, which are computed again as a whole.
        ({}, [True, False, False, False]),
        ({"micro_batch_size": 10}, [True, False, False, False]),
        # Maps that go into the sum are kept.
        ({"residual": True}, [True, True]),
        ({"residual": True, "group_convolutions": 3}, [True, False, True, False]),
    ],
    ids=str,
)
def test_a_training_in_parts_is_that_of_whole_batches(
    keras_module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, fields: dict[str, Any], expected: list[bool]
) -> None:
    """Also the whitening layer that lies within the parts is filled, and the saved net has the same layers."""
    from tinysight.models import fast, in_parts
    from tinysight.models.registry import as_saved, build_training_net
    from tinysight.training import callbacks
    from tinysight.training.fit import fit

    images, found, counts, given_back = stripes(60), [], [], []
    monkeypatch.setattr(callbacks, "give_back_pool", lambda: given_back.append(len(found)))
    for many in (48_000_000, 2_000):
        monkeypatch.setattr(in_parts, "MANY_BYTES", many)
        monkeypatch.setattr(in_parts, "BYTES_OF_PART", 2_000)
        keras_module.utils.set_random_seed(3)
        net = build_training_net(small_recipe(**fields), images.images.shape[1:], 4)
        fit(small_recipe(**fields), net, images, None, history_path=tmp_path / "h.csv", quiet=True)
        counts.append([layer.num_parts for layer in net.layers if isinstance(layer, in_parts.InParts)])
        saved = as_saved(net, small_recipe(**fields), images.images.shape[1:], 4)
        assert saved.get_layer(fast.WHITENING).get_weights()[0].any()
        found.append(saved.get_weights())
    # Of the second training alone, at its epoch's end.
    assert given_back == [1]
    assert counts[0] == []
    assert [count > 1 for count in counts[1]] == expected
    for mine, whole in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(mine, whole, atol=1e-4)
