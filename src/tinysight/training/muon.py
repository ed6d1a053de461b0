"""Muon for convolutions: each kernel's update is the orthogonal matrix that is nearest to its momentum.

Keras's own Muon moves matrices only and leaves convolutions to Adam. Source: Jordan and others, "Muon: an optimizer for
hidden layers in neural networks", 2024, https://kellerjordan.github.io/posts/muon/.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

# A quintic step whose slope at nothing is steep: singular values come near 1 in a few steps, though never quite to it.
QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(keras.optimizers.SGD):
    """Orthogonalised momentum for convolution kernels; SGD with momentum for every other weight.

    A kernel of (height, width, inputs, filters) is taken as a matrix of (height * width * inputs, filters). Before each
    update it is scaled to one unit of length a filter, so that the rate says by which angle it turns: meant for
    convolutions that batch normalisation follows, to which the length means nothing. Weight decay is left out for them.

    Args:
        learning_rate: of the other weights; a number or a schedule.
        kernel_ratio: the rate of kernels is so many times `learning_rate`.
        kernel_momentum: of kernels, Nesterov's.
        num_iterations: Newton-Schulz steps a kernel and update.
        momentum, nesterov, weight_decay: of the other weights.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        *,
        kernel_ratio: float = 1.0,
        kernel_momentum: float = 0.6,
        num_iterations: int = 3,
        name: str = "muon",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, name=name, **kwargs)
        self.kernel_ratio, self.kernel_momentum, self.num_iterations = kernel_ratio, kernel_momentum, num_iterations

    def build(self, variables: Any) -> None:
        """Makes the momentum of every weight; Keras's SGD makes none where its own momentum is 0."""
        if self.built:
            return
        super().build(variables)
        if not self.momentum:
            self.momentums: list[Any] = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's update, as Keras's base class calls it."""
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self.momentums[self._get_variable_index(variable)]
        followed = self.kernel_momentum * momentum + gradient
        self.assign(momentum, followed)
        inputs, filters = variable.shape[0] * variable.shape[1] * variable.shape[2], variable.shape[3]
        matrix = ops.reshape(gradient + self.kernel_momentum * followed, (inputs, filters))
        turn = ops.reshape(orthogonalized(matrix, self.num_iterations), variable.shape)
        rate = ops.cast(learning_rate, variable.dtype) * self.kernel_ratio
        length = ops.sqrt(ops.sum(ops.square(variable)))
        self.assign(variable, variable * (filters**0.5 / (length + 1e-7)) - rate * turn)

    def _use_weight_decay(self, variable: Any) -> bool:
        return len(variable.shape) != 4 and super()._use_weight_decay(variable)

    def get_config(self) -> dict[str, Any]:
        own = {
            "kernel_ratio": self.kernel_ratio,
            "kernel_momentum": self.kernel_momentum,
            "num_iterations": self.num_iterations,
        }
        return {**super().get_config(), **own}


def orthogonalized(matrix: Any, num_iterations: int) -> Any:
    """The matrix with its singular values brought near 1: float32, same shape.

    Every iterate is the matrix times a polynomial of the square matrix of its scalar products, so these small ones are
    iterated, and the large one is multiplied twice in all rather than twice an iteration: in half the time for kernels
    of 256 channels, to the last two digits of float32.

    Args:
        matrix: float32, shape (rows, columns).
        num_iterations: Newton-Schulz steps, 1 or more; five bring all but the smallest singular values to 0.7..1.2.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    # The products are as small as they can be along the longer side, and need no transposed copy.
    products = ops.einsum("ri,rj->ij" if is_tall else "ir,jr->ij", matrix, matrix)
    squares = ops.trace(products)
    first, second, third = QUINTIC
    # Made here, as TensorFlow needs twenty operations for it.
    identity = np.eye(products.shape[0], dtype=np.float32)
    constant, linear = ops.convert_to_tensor(first * identity), ops.convert_to_tensor(second * identity)
    gram, polynomial = products / (squares + 1e-14), 1 / (ops.sqrt(squares) + 1e-7)
    for iteration in range(num_iterations):
        # Two summands each: TensorFlow adds three up in the order in which they come, and bits would depend on that.
        factor = constant + ops.matmul(gram, linear + third * gram)
        polynomial = ops.matmul(factor, polynomial) if iteration else factor * polynomial
        gram = ops.matmul(ops.matmul(factor, gram), factor)
    return ops.matmul(matrix, polynomial) if is_tall else ops.matmul(polynomial, matrix)
