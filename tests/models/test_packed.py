"""Convolutions with a kernel gradient of their own: it is Keras's, where it is used and where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

GENERATOR = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras on TensorFlow."""


@pytest.mark.parametrize("kernel_size", [(1, 1), (3, 3), (5, 3), (3, 5)])
@pytest.mark.parametrize("side", [(3, 3), (7, 7), (6, 4), (4, 8)])
@pytest.mark.parametrize("num_images", [1, 2, 8, 13])
def test_it_is_the_gradient_of_the_kernel(num_images: int, side: tuple[int, int], kernel_size: tuple[int, int]) -> None:
    """For any number of images, also one that leaves the last row of them unfilled."""
    import tensorflow as tf

    from tinysight.models.packed import kernel_gradient

    images = GENERATOR.normal(size=(num_images, *side, 4)).astype(np.float32)
    slopes = GENERATOR.normal(size=(num_images, *side, 5)).astype(np.float32)
    kernel = tf.constant(GENERATOR.normal(size=(*kernel_size, 4, 5)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = tf.reduce_sum(tf.nn.conv2d(images, kernel, 1, "SAME") * slopes)
    expected = tape.gradient(loss, kernel)
    found = kernel_gradient(tf.constant(images), tf.constant(slopes), kernel.shape)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def gradients(layer: Any, images: Any, slopes: Any, compiled: bool) -> list[Any]:
    """Of inputs and kernel, as a training step takes them: through a function of batches of any size."""
    import tensorflow as tf

    def derive(images: Any, slopes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * slopes)
        return tape.gradient(loss, [images, layer.kernel.value])

    if compiled:
        any_batch = [tf.TensorSpec((None, *value.shape[1:]), tf.float32) for value in (images, slopes)]
        derive = tf.function(derive, input_signature=any_batch)
    return [np.asarray(value) for value in derive(tf.constant(images), tf.constant(slopes))]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("policy", "side", "options", "packs"),
    [
        ("mixed_bfloat16", 7, {}, True),
        ("mixed_bfloat16", 3, {"use_bias": True}, True),
        ("float32", 7, {}, False),
        ("mixed_bfloat16", 9, {}, False),
        ("mixed_bfloat16", 7, {"strides": 2}, False),
        ("mixed_bfloat16", 7, {"padding": "valid"}, False),
        ("mixed_bfloat16", 7, {"kernel_size": 2}, False),
        ("mixed_bfloat16", 1, {}, False),
    ],
)
def test_the_layer_learns_as_keras_own(
    keras_module: Any,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    side: int,
    options: dict[str, Any],
    packs: bool,
    compiled: bool,
) -> None:
    from tinysight.models import packed

    images = GENERATOR.normal(size=(6, side, side, 4)).astype(np.float32)
    words = {"filters": 8, "kernel_size": 3, "padding": "same", "use_bias": False, "dtype": policy, **options}
    ours, theirs = packed.PackedConv2D(**words), keras_module.layers.Conv2D(**words)
    for layer in (ours, theirs):
        layer.build(images.shape)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(
        keras_module.ops.cast(ours(images), "float32"), keras_module.ops.cast(theirs(images), "float32")
    )
    slopes = GENERATOR.normal(size=theirs.compute_output_shape(images.shape)).astype(np.float32)
    calls = []
    whole = packed.kernel_gradient
    monkeypatch.setattr(packed, "kernel_gradient", lambda *given: calls.append(1) or whole(*given))
    found = gradients(ours, images, slopes, compiled)
    assert bool(calls) == packs
    for mine, keras_own in zip(found, gradients(theirs, images, slopes, compiled), strict=True):
        # In bfloat16, which has eight bits.
        np.testing.assert_allclose(mine, keras_own, atol=0.02 * abs(keras_own).max())
