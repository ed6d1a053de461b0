"""Batch normalisation in one pass over the images; for training only, never part of a saved model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from tinysight.models.walk import leaf_layers


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer with the same weights; on TensorFlow a training step uses its one fused operation.

    Keras 3 computes moments and normalisation one by one, which for small nets costs as much as their convolutions. In
    bfloat16 the sums are float32 here, too. Input and output: (n, height, width, channels), float32 or bfloat16.
    Inference, other backends and other shapes take Keras's way.

    Attributes:
        follows: whether a training step moves the means and variances for inference.
    """

    def __init__(self, **kwargs: Any) -> None:
        # Means and variances stay float32; inputs come in the dtype that the layer before computes in.
        super().__init__(autocast=False, **kwargs)
        self.follows = True

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or keras.backend.backend() != "tensorflow" or len(inputs.shape) != 4 or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels = inputs.shape[-1]
        outputs, means, variances, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels),
            offset=ops.convert_to_tensor(self.beta) if self.center else tf.zeros(channels),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        if not self.follows:
            return outputs
        # TensorFlow gives the variance of a sample, n / (n - 1) of what Keras follows.
        count = tf.cast(tf.size(inputs) // channels, tf.float32)
        variances = variances * (count - 1) / count
        for followed, value in ((self.moving_mean, means), (self.moving_variance, variances)):
            followed.assign(followed * self.momentum + value * (1 - self.momentum))
        return outputs


@contextlib.contextmanager
def computed_again(model: keras.Model) -> Iterator[None]:
    """Within, the batch normalisation of `model` follows no means and variances: it has seen this batch before."""
    found = [layer for layer in leaf_layers(model) if isinstance(layer, FusedBatchNormalization)]
    for layer in found:
        layer.follows = False
    try:
        yield
    finally:
        for layer in found:
            layer.follows = True
