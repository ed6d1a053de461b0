"""A step in parts: gradients of a batch from a few images at a time, for less memory; on TensorFlow alone.

What the layers of a net hold until its gradients are made grows with the images that go through it at once. Here a part
of the batch goes through it, and its gradients are added to those of the parts before. Batch normalisation sees a part
as its batch. Source: Huang and others, GPipe, 2018, https://arxiv.org/abs/1811.06965, for the parts; Hoffer and others,
Train longer, generalize better, 2017, https://arxiv.org/abs/1705.08741, for normalisation within them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def accumulate(
    loss_of: Callable[[Any, Any], tuple[Any, Any]], weights: Sequence[Any], inputs: Any, labels: Any, size: int,
) -> tuple[Any, Any, list[Any]]:  # fmt: skip
    """Loss, outputs and gradients of a batch, of parts that are as equal as they can be.

    Args:
        loss_of: (inputs, labels) of a part to (mean loss, outputs (part, num_classes)).
        weights: the variables that are trained, n of them.
        inputs: a tensor of TensorFlow, shape (batch, ...).
        labels: shape (batch, ...).
        size: images of the largest part.

    Returns:
        The mean loss over the batch, float32; the outputs, float32 (batch, num_classes); n gradients of that loss.
    """
    import tensorflow as tf

    count = tf.shape(inputs)[0]
    num_parts = -(-count // size)

    def start(part: Any) -> Any:
        return part * (count // num_parts) + tf.minimum(part, count % num_parts)

    def add(part: Any, total: Any, outputs: Any, sums: Sequence[Any]) -> tuple[Any, ...]:
        first, end = start(part), start(part + 1)
        share = tf.cast(end - first, tf.float32) / tf.cast(count, tf.float32)
        with tf.GradientTape() as tape:
            loss, given = loss_of(inputs[first:end], labels[first:end])
            loss *= share
        gradients = tape.gradient(loss, weights)
        # Something waits for them, so that TensorFlow does not make one sum of those within them and those below. It
        # would add that up as summands come, and in a buffer that loops within loops get in each other's way with.
        with tf.control_dependencies([gradient for gradient in gradients if gradient is not None]):
            following = part + 1
        # A weight that the loss does not depend on has none.
        pairs = zip(sums, gradients, strict=True)
        summed = [before if gradient is None else before + gradient for before, gradient in pairs]
        return following, total + loss, outputs.write(part, tf.cast(given, tf.float32)), summed

    outputs = tf.TensorArray(tf.float32, num_parts, infer_shape=False, element_shape=(None, None))
    zeros = [tf.zeros(weight.shape) for weight in weights]
    # One part after the other: two at once would hold the memory of both.
    _, total, outputs, sums = tf.while_loop(
        lambda part, *_: part < num_parts, add, (0, tf.zeros(()), outputs, zeros), parallel_iterations=1
    )
    return total, outputs.concat(), sums
