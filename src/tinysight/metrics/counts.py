"""Who was taken for whom: the confusion matrix and what is read straight off it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.metrics.figures import check_labels


@dataclass(frozen=True)
class ConfusedPair:
    """How often one class was taken for another.

    Attributes:
        true: index of the true class.
        predicted: index of the class the model said, never `true`.
        count: images of `true` that were called `predicted`.
        share: `count` as a fraction of the images of `true`.
    """

    true: int
    predicted: int
    count: int
    share: float


def predicted_classes(probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """The most probable class of each row: int64, shape (n,); of equal ones the first, as `argmax` has it."""
    return np.asarray(np.argmax(probabilities, axis=1), dtype=np.int64)


def confusion_matrix(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], num_classes: int
) -> NDArray[np.int64]:
    """How many images of each true class were given each class.

    Args:
        labels: integers, shape (n,), the true classes.
        predicted: integers, shape (n,), the classes the model said.
        num_classes: how many classes there are, absent ones included.

    Returns:
        int64, shape (num_classes, num_classes): row = true class, column = predicted class.

    Raises:
        InvalidValueError: when lengths differ or a class is out of range.
    """
    true = check_labels(labels, len(labels), num_classes)
    said = check_labels(predicted, len(true), num_classes)
    cells = np.bincount(true * num_classes + said, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def normalized_by_true(matrix: NDArray[np.integer]) -> NDArray[np.float64]:
    """Each row of a confusion matrix as fractions of its sum; the row of a class without images is zero."""
    support = matrix.sum(axis=1, keepdims=True)
    return np.asarray(matrix / np.maximum(support, 1), dtype=np.float64)


def support(matrix: NDArray[np.integer]) -> NDArray[np.int64]:
    """Images of each true class: int64, shape (classes,)."""
    return np.asarray(matrix.sum(axis=1), dtype=np.int64)


def most_confused(matrix: NDArray[np.integer], num_pairs: int = 10) -> tuple[ConfusedPair, ...]:
    """The off-diagonal cells with the most images, largest first.

    Args:
        matrix: integers, shape (classes, classes), row = true class.
        num_pairs: how many at most; cells without images are never listed.

    Returns:
        Pairs sorted by count, then by share, then by class order.

    Raises:
        InvalidValueError: when `num_pairs` is negative.
    """
    if num_pairs < 0:
        raise InvalidValueError(f"num_pairs is {num_pairs}; expected 0 or more")
    shares = normalized_by_true(matrix)
    off_diagonal = matrix * ~np.eye(len(matrix), dtype=bool)
    pairs = [
        ConfusedPair(int(true), int(said), int(matrix[true, said]), float(shares[true, said]))
        for true, said in np.argwhere(off_diagonal)
    ]
    pairs.sort(key=lambda pair: (-pair.count, -pair.share, pair.true, pair.predicted))
    return tuple(pairs[:num_pairs])
