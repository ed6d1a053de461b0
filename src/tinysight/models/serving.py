"""The model that is saved and shipped: raw pixels in, probabilities out. Scaling lives in here and nowhere else."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tinysight.recipe import Scaling

# Scaling -> (factor, offset) applied to raw pixels 0..255.
SCALINGS: dict[Scaling, tuple[float, float]] = {
    "0..1": (1 / 255, 0.0),
    "-0.5..0.5": (1 / 255, -0.5),
    "-1..1": (1 / 127.5, -1.0),
    "none": (1.0, 0.0),
}


def scaling_layer(scaling: Scaling) -> layers.Rescaling:
    """uint8 pixels 0..255 to float32 in the range that the net was trained on."""
    factor, offset = SCALINGS[scaling]
    return layers.Rescaling(factor, offset, name="scaling")


def gives_probabilities(net: keras.Model) -> bool:
    """Whether the outputs of `net` are probabilities and not logits.

    Told by what comes out: a softmax may stand in a layer, in an operation or inside a class of the user's own.
    """
    noise = np.random.default_rng(0).normal(size=(8, *net.input_shape[1:])).astype(np.float32)
    outputs = ops.convert_to_numpy(net(noise, training=False))
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3))


@keras.saving.register_keras_serializable(package="tinysight")
class Mirror(layers.Layer):
    """Images mirrored left to right: (n, height, width, channels), same shape and dtype."""

    def call(self, inputs: Any) -> Any:
        return ops.flip(inputs, axis=2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def serving_model(
    net: keras.Model, scaling: Scaling, input_shape: tuple[int, int, int], *, flip_predictions: bool = False
) -> keras.Model:
    """The net with everything around it that must not be lost.

    Args:
        net: scaled images in, probabilities or logits out.
        scaling: what raw pixels are turned into.
        input_shape: (height, width, channels).
        flip_predictions: whether to average the probabilities of image and mirror image.

    Returns:
        A functional model, uint8 (n, height, width, channels) to float32 (n, num_classes) probabilities. It shares the
        net's weights.
    """
    pixels = keras.Input(input_shape, dtype="uint8", name="pixels")
    scaled = scaling_layer(scaling)(pixels)
    to_probabilities = (lambda outputs: outputs) if gives_probabilities(net) else layers.Softmax(name="probabilities")
    probabilities = to_probabilities(net(scaled))
    if flip_predictions:
        mirrored = to_probabilities(net(Mirror(name="mirror")(scaled)))
        probabilities = layers.Average(name="both_sides")([probabilities, mirrored])
    return keras.Model(pixels, probabilities, name="tinysight")
