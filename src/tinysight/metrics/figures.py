"""One measured figure with its uncertainty, and the checks that every metric makes on what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError

# A softmax in float16 misses one by up to about a thousandth a class; more than this is no probability at all.
SUM_TOLERANCE = 0.01


@dataclass(frozen=True)
class Figure:
    """A figure with the number of things it was measured on and its interval.

    Attributes:
        name: a key, as in "macro_f1".
        value: the figure, a fraction where it is one (0.71, not 71); None where it is not defined.
        low: lower end of the interval, or None.
        high: upper end of the interval, or None.
        n: how many images (or seeds) it was measured on.
        method: how the interval was made and its level, as in "Wilson 95 %".
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """The figure as JSON values: `value`, `interval` (two numbers, or null), `n`, `method`."""
        interval = None if self.low is None or self.high is None else [self.low, self.high]
        return {"value": self.value, "interval": interval, "n": self.n, "method": self.method}


def check_level(level: float) -> float:
    """The confidence level, when it is one.

    Raises:
        InvalidValueError: when `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InvalidValueError(f"the confidence level is {level}; expected a fraction between 0 and 1, as in 0.95")
    return level


def check_predictions(probabilities: Any, labels: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Probabilities and labels as arrays, when they fit together.

    Args:
        probabilities: real numbers, shape (n, classes), rows that sum to 1.
        labels: integers, shape (n,), indices of the true classes.

    Returns:
        The probabilities in the floating type they came in (float64 for anything else), and int64 labels.

    Raises:
        InvalidValueError: when shapes, types or values are anything else, or there is no image.
    """
    rows = np.asarray(probabilities)
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] < 2 or rows.dtype.kind not in "fiu":
        raise InvalidValueError(
            f"probabilities are {rows.dtype} of shape {rows.shape}; expected real numbers of shape (n, classes)"
            " with at least one image and two classes"
        )
    rows = rows if rows.dtype.kind == "f" else rows.astype(np.float64)
    _check_rows(rows)
    return rows, check_labels(labels, len(rows), rows.shape[1])


def _check_rows(rows: NDArray[Any]) -> None:
    sums = rows.sum(axis=1, dtype=np.float64)
    # A NaN fails each comparison, so it is bad here without a test of its own.
    good = (rows >= -SUM_TOLERANCE).all(axis=1) & (np.abs(sums - 1) <= SUM_TOLERANCE)
    if not good.all():
        first = int(np.argmin(good))
        raise InvalidValueError(
            f"row {first} of the probabilities sums to {sums[first]:.4g} with a smallest value of"
            f" {rows[first].min():.4g}; expected a softmax's output: values from 0 to 1 that sum to 1"
        )


def check_labels(labels: Any, num_images: int, num_classes: int) -> NDArray[np.int64]:
    """The labels as int64, when there are `num_images` of them, each below `num_classes`.

    Raises:
        InvalidValueError: when they are anything else.
    """
    array = np.asarray(labels)
    if array.shape != (num_images,) or array.dtype.kind not in "iu":
        raise InvalidValueError(
            f"labels are {array.dtype} of shape {array.shape} for {num_images} images; expected integers, one each"
        )
    if num_images and not 0 <= int(array.min()) <= int(array.max()) < num_classes:
        raise InvalidValueError(
            f"labels run from {array.min()} to {array.max()}; expected 0 to {num_classes - 1} for {num_classes} classes"
        )
    return array.astype(np.int64)
