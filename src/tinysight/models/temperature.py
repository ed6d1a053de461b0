"""A temperature inside the model, so that what is saved, exported and served gives calibrated scores."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from tinysight.errors import InvalidValueError

# As `tinysight.metrics.calibration.logits_of` has it: what underflowed in float32 is taken as its smallest number.
_TINY = float(np.finfo(np.float32).tiny)


def with_temperature(model: keras.Model, temperature: float) -> keras.Model:
    """A model whose logits are divided by `temperature` before their softmax; the top class stays the same.

    The logits are taken back from the probabilities, softmax(log(p) / temperature): a softmax forgets only what is
    added to all logits, so this is exact, and it fits any model, also one that averages two softmaxes. Only Keras's own
    layers are added, so the file loads wherever the model's did. Source: Guo et al. 2017, arXiv 1706.04599.

    Args:
        model: uint8 pixels (n, height, width, channels) to probabilities (n, classes).
        temperature: above 1 makes scores less sure, below 1 surer.

    Returns:
        A functional model with the same input and output; it shares the model's weights.

    Raises:
        InvalidValueError: when `temperature` is not a finite number above 0.
    """
    if not 0 < temperature < np.inf:
        raise InvalidValueError(f"the temperature is {temperature}; expected a number above 0")
    logits = ops.log(ops.maximum(model.output, _TINY))
    scaled = layers.Rescaling(1 / temperature, name="temperature")(logits)
    return keras.Model(model.input, layers.Softmax(name="calibrated")(scaled), name=model.name)
