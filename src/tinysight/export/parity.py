"""The one check that every exported file goes through: its answers beside Keras's, on the same held-out images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError
from tinysight.export.onnx import TOLERANCE, largest_difference

# Two classes whose probabilities lie this close are a tie: rounding of float32 sums decides between them, and another
# order of additions may decide otherwise.
TIE = 1e-5
# What int8 may lose without `--force`, as a share of the images: one point of accuracy.
MAX_LOSS = 0.01


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How an exported model answers, beside the Keras model that it was made from.

    Attributes:
        num_images: how many held-out images were compared, each counted once.
        max_probability_difference: the largest difference of any probability of any image.
        label_agreement: share of the images with the same top class.
        num_changed_labels: images with another top class where Keras's own was no tie.
        accuracy: of the exported model, 0..1.
        accuracy_difference: that minus the accuracy of Keras; below 0 is a loss.
    """

    num_images: int
    max_probability_difference: float
    label_agreement: float
    num_changed_labels: int
    accuracy: float
    accuracy_difference: float


def compare(
    expected: NDArray[np.float32], came: NDArray[np.float32], labels: NDArray[np.integer], what: str = "the file"
) -> Parity:
    """Measures, without a verdict.

    Args:
        expected: Keras's probabilities, shape (n, classes).
        came: the exported model's for the same images.
        labels: the true classes, shape (n,).
        what: the file's name in an error.

    Raises:
        ModelError: when the two do not have the same shape, or a probability is NaN or infinite.
    """
    if came.shape != expected.shape:
        raise ModelError(f"{what} gives shape {came.shape}; Keras gives {expected.shape}")
    if not np.isfinite(came).all():
        raise ModelError(f"{what} gives NaN or infinity as a probability")
    ours, theirs = expected.argmax(axis=1), came.argmax(axis=1)
    differs = ours != theirs
    accuracy, accuracy_before = float(np.mean(theirs == labels)), float(np.mean(ours == labels))
    return Parity(
        num_images=len(labels),
        max_probability_difference=largest_difference(expected, came),
        label_agreement=float(1 - differs.mean()),
        num_changed_labels=int(np.sum(differs & ~_is_tie(expected))),
        accuracy=accuracy,
        accuracy_difference=accuracy - accuracy_before,
    )


def _is_tie(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the best two classes lie within `TIE`: shape (n,)."""
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities), bool)
    best = np.sort(probabilities, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0] <= TIE)


def require_equal(parity: Parity, what: str) -> None:
    """The verdict on a float file.

    Raises:
        ModelError: when a probability differs by more than `TOLERANCE`, or a label changed that was not a tie.
    """
    if not parity.max_probability_difference <= TOLERANCE:
        raise ModelError(
            f"{what} differs from Keras by {parity.max_probability_difference:.2g} in a probability;"
            f" expected at most {TOLERANCE:g}, so it was not kept"
        )
    if parity.num_changed_labels:
        raise ModelError(
            f"{what} gives another class than Keras for {parity.num_changed_labels} of {parity.num_images:,} images;"
            " expected none, so it was not kept"
        )


def require_small_loss(parity: Parity, what: str, *, force: bool) -> None:
    """The verdict on an int8 file.

    Raises:
        ModelError: when it loses more than `MAX_LOSS` and `force` is not given.
    """
    if parity.accuracy_difference < -MAX_LOSS and not force:
        raise ModelError(
            f"{what} loses {-100 * parity.accuracy_difference:.2f} points of accuracy on {parity.num_images:,} held-out"
            f" images; more than {100 * MAX_LOSS:g} needs --force, so it was not kept"
        )
