"""How good the predictions are: each score as a figure with its n and interval.

Every image counts exactly once. Where scikit-learn has the same score, the values are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.metrics.figures import Figure, check_predictions
from tinysight.metrics.intervals import (
    LEVEL,
    ClassCounts,
    bootstrap_means,
    class_counts,
    percent,
    percentile_interval,
    share_figure,
)

_BOOTSTRAP = f"bootstrap {percent(LEVEL)}"


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class.

    Attributes:
        name: the class.
        support: images of it.
        predicted: images called by its name.
        precision: of those called by its name, the share that is right; None where none was.
        recall: of its images, the share that was called by its name (the class's accuracy); None where it has none.
        f1: 2 * correct / (support + predicted), the harmonic mean of both; None where both are 0.
    """

    name: str
    support: int
    predicted: int
    precision: Figure
    recall: Figure
    f1: Figure

    def to_dict(self) -> dict[str, Any]:
        """JSON values under the attributes' names."""
        figures = {figure.name: figure.to_dict() for figure in (self.precision, self.recall, self.f1)}
        return {"name": self.name, "support": self.support, "predicted": self.predicted, **figures}


def accuracy(matrix: NDArray[np.integer]) -> Figure:
    """The share of images on the diagonal of a confusion matrix, with Wilson's interval."""
    return share_figure("accuracy", int(np.trace(matrix)), int(matrix.sum()))


def top_k_hits(probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int) -> NDArray[np.bool_]:
    """Whether the true class is among the `k` most probable: bool, shape (n,).

    Of equal probabilities the lower class counts as first, as `argmax` has it, so that `k = 1` is the accuracy.

    Raises:
        InvalidValueError: when `k` is not from 1 to the number of classes, or the predictions are none.
    """
    rows, true = check_predictions(probabilities, labels)
    if not 1 <= k <= rows.shape[1]:
        raise InvalidValueError(f"k is {k}; expected 1 to {rows.shape[1]}, the number of classes")
    own = rows[np.arange(len(rows)), true][:, None]
    earlier = np.arange(rows.shape[1]) < true[:, None]
    ahead = (rows > own) | ((rows == own) & earlier)
    return np.asarray(ahead.sum(axis=1) < k)


def top_k_accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int) -> Figure:
    """The share of images whose true class is among the `k` most probable, with Wilson's interval."""
    hits = top_k_hits(probabilities, labels, k)
    return share_figure(f"top_{k}_accuracy", int(hits.sum()), len(hits))


def log_losses(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Minus the natural logarithm of each image's probability of its true class: float64, shape (n,).

    Probabilities are first clipped to eps..1 - eps, with eps the machine epsilon of their type (2.2e-16 for float64,
    1.2e-7 for float32), as scikit-learn's `log_loss` does: one sure mistake costs 36 or 16, never infinity.

    Raises:
        InvalidValueError: when the predictions are none.
    """
    rows, true = check_predictions(probabilities, labels)
    eps = np.finfo(rows.dtype).eps
    own = np.clip(rows[np.arange(len(rows)), true], eps, 1 - eps)
    return np.asarray(-np.log(own.astype(np.float64)))


def brier_scores(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Each image's squared distance from certainty of its true class: float64, shape (n,), 0 (best) to 2.

    The sum over classes of (probability - 1 for the true class, else 0) squared, as G. W. Brier defined it in 1950,
    "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78; not halved, not divided by
    the number of classes.

    Raises:
        InvalidValueError: when the predictions are none.
    """
    rows, true = check_predictions(probabilities, labels)
    distance = rows.astype(np.float64)
    distance[np.arange(len(rows)), true] -= 1
    return np.asarray(np.square(distance).sum(axis=1), dtype=np.float64)


def mean_figures(per_image: dict[str, NDArray[np.floating]], rng: np.random.Generator) -> tuple[Figure, ...]:
    """Means over the same images, each with a percentile bootstrap interval.

    Args:
        per_image: name -> one number an image, shape (n,).
        rng: where chance comes from.
    """
    columns = np.stack(list(per_image.values()), axis=1)
    figures = []
    for name, values, means in zip(per_image, columns.T, bootstrap_means(columns, rng).T, strict=True):
        interval = percentile_interval(means)
        figures.append(Figure(name, float(values.mean()), interval.low, interval.high, len(values), _BOOTSTRAP))
    return tuple(figures)


def f1_by_class(counts: ClassCounts) -> NDArray[np.float64]:
    """F1 of each class: NaN for a class that is neither true nor predicted anywhere."""
    return _divide(2 * counts.correct, counts.true + counts.predicted)


def macro_f1_value(counts: ClassCounts) -> NDArray[np.float64]:
    """The mean F1 over the classes that occur as true or predicted, as scikit-learn's default has it."""
    return np.asarray(np.nanmean(f1_by_class(counts), axis=-1))


def balanced_accuracy_value(counts: ClassCounts) -> NDArray[np.float64]:
    """The mean recall over the classes that have images."""
    return np.asarray(np.nanmean(_divide(counts.correct, counts.true), axis=-1))


def _divide(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """`part / whole`, NaN where `whole` is 0."""
    share = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


# Name -> statistic of the counts per class, of one matrix or of many.
MATRIX_SCORES: dict[str, Callable[[ClassCounts], NDArray[np.float64]]] = {
    "balanced_accuracy": balanced_accuracy_value,
    "macro_f1": macro_f1_value,
}


def matrix_figures(matrix: NDArray[np.integer], resampled: ClassCounts) -> tuple[Figure, ...]:
    """Every score in `MATRIX_SCORES`, with a percentile bootstrap interval.

    Args:
        matrix: integers, shape (classes, classes), row = true class.
        resampled: what `bootstrap_class_counts` made of it.
    """
    counts, figures = class_counts(matrix), []
    for name, score in MATRIX_SCORES.items():
        interval = percentile_interval(score(resampled))
        figures.append(Figure(name, float(score(counts)), interval.low, interval.high, int(matrix.sum()), _BOOTSTRAP))
    return tuple(figures)


def class_scores(
    matrix: NDArray[np.integer], class_names: tuple[str, ...], resampled: ClassCounts
) -> tuple[ClassScores, ...]:
    """The scores of every class, in order: precision and recall with Wilson's interval, F1 with a bootstrap one."""
    counts = class_counts(matrix)
    values, chances = f1_by_class(counts), f1_by_class(resampled)
    scores = []
    for index, name in enumerate(class_names):
        correct, true, predicted = (int(count[index]) for count in counts)
        f1 = Figure("f1", None, None, None, 0, _BOOTSTRAP)
        if true + predicted:
            interval = percentile_interval(chances[:, index])
            f1 = Figure("f1", float(values[index]), interval.low, interval.high, int(matrix.sum()), _BOOTSTRAP)
        precision, recall = share_figure("precision", correct, predicted), share_figure("recall", correct, true)
        scores.append(ClassScores(name, true, predicted, precision, recall, f1))
    return tuple(scores)
