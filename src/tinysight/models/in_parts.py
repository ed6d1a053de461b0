"""Layers that hold little while a net is trained, as a batch goes through them in parts, and again for its gradients.

Source: Chen and others, Training deep nets with sublinear memory cost, 2016, https://arxiv.org/abs/1604.06174.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras

from tinysight.models.fused import computed_again
from tinysight.models.packed import on_gpu

# What layers hold of a batch may take so many bytes before it goes through them in parts, each of at most so many.
MANY_BYTES, BYTES_OF_PART = 48_000_000, 16_000_000


def count_parts(batch_size: int, values: Sequence[int], bytes_per_value: int) -> int:
    """In how many parts a batch should go through layers: 1 unless they hold a lot of it, or where this cannot be done.

    Args:
        batch_size: images of a batch.
        values: what the layers hold of an image, as a shape.
        bytes_per_value: 4, or 2 in bfloat16.
    """
    size = batch_size * math.prod(values) * bytes_per_value
    if keras.backend.backend() != "tensorflow" or size <= MANY_BYTES or on_gpu():
        return 1
    return min(batch_size, -(-size // BYTES_OF_PART))


class InParts(keras.Sequential):
    """Layers one after the other, for training on TensorFlow: of a part of the batch, then of the next one.

    What they hold of a part is not kept, and computed again when its gradients are made. That is for layers that are
    cheap for what they hold: max-pooling wants the maps that it pooled and as much again for their slopes, 62 MB each
    of 500 images of 31 x 31 with 64 channels in bfloat16; in one part, a convolution wants what normalisation and ReLU
    make of the maps that these want themselves. The numbers are those of a whole batch, but for the order in which the
    gradients of weights are added up.

    Input and output: (n, ...), as of the layers.

    Args:
        layers: what they give of an image must be the same when computed again, and where there are several parts it
            must not depend on the other images: no dropout, and batch normalisation, `FusedBatchNormalization`, in one
            part alone.
        num_parts: how many, as equal as they can be.
    """

    def __init__(self, layers: Sequence[keras.Layer], num_parts: int) -> None:
        super().__init__(list(layers))
        self.num_parts = num_parts

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """As Keras calls it."""
        if not training:
            return self._whole(inputs, training)
        import tensorflow as tf

        @tf.custom_gradient
        def compute(inputs: Any) -> Any:
            outputs: list[Any] = []
            for part in _split(inputs, self.num_parts):
                # One after the other: two at once would hold the memory of both.
                with tf.control_dependencies(outputs[-1:]):
                    outputs.append(self._whole(tf.identity(part), True))

            # TensorFlow finds the variables that are trained, and calls this with them where there are any.
            def gradients(slopes: Any, variables: Sequence[Any] = ()) -> Any:
                to_inputs: list[Any] = []
                sums: list[Any] = []
                for part, its_slopes in zip(
                    _split(inputs, self.num_parts), _split(slopes, self.num_parts), strict=True
                ):
                    # After the slopes and the part before, also so that it is not taken for what was computed already.
                    with tf.control_dependencies([slopes, *sums]):
                        again = tf.identity(part)
                        with tf.GradientTape() as tape:
                            tape.watch(again)
                            with computed_again(self):
                                outputs = self._whole(again, True)
                        to_input, *found = tape.gradient(outputs, [again, *variables], its_slopes)
                        to_inputs.append(to_input)
                        sums = [total + slope for total, slope in zip(sums, found, strict=True)] if sums else found
                # What the gradients of weights are made of is freed before the layers before begin with theirs.
                with tf.control_dependencies(sums):
                    joined = tf.concat(to_inputs, 0)
                return (joined, sums) if variables else joined

            return tf.concat(outputs, 0), gradients

        return compute(inputs)

    def _whole(self, inputs: Any, training: bool | None) -> Any:
        return super().call(inputs, training=training)


def _split(values: Any, num_parts: int) -> list[Any]:
    """Parts of the first axis of a tensor of TensorFlow, as equal as they can be.

    Parts that begin at a multiple of 64 bytes share the memory of the whole.
    """
    import tensorflow as tf

    count = values.shape[0] or tf.shape(values)[0]
    starts = [count * part // num_parts for part in range(num_parts + 1)]
    sizes = [end - start for start, end in pairwise(starts)]
    parts: list[Any] = tf.split(values, sizes if values.shape[0] else tf.stack(sizes), num=num_parts)
    return parts
