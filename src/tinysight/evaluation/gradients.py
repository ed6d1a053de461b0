"""The gradient of a score by one array, on whichever backend Keras runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

# From a tensor to (a scalar to differentiate, any tensor that is wanted beside it).
Scored = Callable[[Any], tuple[Any, Any]]
Gradient = tuple[NDArray[np.float32], NDArray[np.float32]]


def gradient(function: Scored, at: NDArray[np.float32]) -> Gradient:
    """(the gradient of the first result of `function`, its second result), float32, both at `at`."""
    slope, beside = _GRADIENTS[keras.backend.backend()](function, at)
    return (
        np.asarray(ops.convert_to_numpy(slope), np.float32),
        np.asarray(ops.convert_to_numpy(beside), np.float32),
    )


def _tensorflow(function: Scored, at: NDArray[np.float32]) -> tuple[Any, Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        point = tf.convert_to_tensor(at)
        tape.watch(point)
        score, beside = function(point)
    return tape.gradient(score, point), beside


def _jax(function: Scored, at: NDArray[np.float32]) -> tuple[Any, Any]:
    import jax

    def without_side_effects(point: Any) -> tuple[Any, Any]:
        # A layer that counts its calls would keep JAX's placeholders in its state beyond the gradient.
        with keras.StatelessScope():
            return function(point)

    slope, beside = jax.grad(without_side_effects, has_aux=True)(jax.numpy.asarray(at))
    return slope, beside


def _torch(function: Scored, at: NDArray[np.float32]) -> tuple[Any, Any]:
    import torch

    point = ops.convert_to_tensor(at).requires_grad_()
    score, beside = function(point)
    (slope,) = torch.autograd.grad(score, point)
    return slope, beside.detach()


_GRADIENTS: dict[str, Callable[[Scored, NDArray[np.float32]], tuple[Any, Any]]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}
