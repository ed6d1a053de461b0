"""Intervals: Wilson's for a share of images, the percentile bootstrap for everything else.

The bootstrap resamples images with replacement (Efron 1979, Annals of Statistics 7). No image is ever copied: a
resample is a vector of how often each image came up, so that all means over images come out of one matrix product, and
a statistic of the confusion matrix needs only its cells, which under resampling are one multinomial draw.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.metrics.figures import Figure, check_level

LEVEL = 0.95
NUM_RESAMPLES = 1000
# Numbers held at once while resampling: half a MiB as float64, which the cache of a core holds.
CHUNK = 2**16


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


def normal_quantile(level: float) -> float:
    """How many standard deviations either side hold `level` of a normal distribution: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + check_level(level) / 2)


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval for a share.

    Unlike value +- 1.96 standard errors it never leaves 0..1 and holds its level near the ends, where good classifiers
    are: E. B. Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.

    Args:
        successes: how many of `n`.
        n: how many there were, at least 1.
        level: how often such an interval holds the true share.

    Raises:
        InvalidValueError: when `n` is below 1, `successes` not between 0 and `n`, or `level` not between 0 and 1.
    """
    z = normal_quantile(level)
    if n < 1 or not 0 <= successes <= n:
        raise InvalidValueError(f"{successes} successes of {n}; expected 1 or more, and no more successes than that")
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Exact at the ends, where rounding would leave 1e-17.
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return Interval(low, high)


def share_figure(name: str, successes: int, n: int, level: float = LEVEL) -> Figure:
    """A share of images with Wilson's interval; undefined (None) when `n` is 0."""
    method = f"Wilson {percent(level)}"
    if n == 0:
        return Figure(name, None, None, None, 0, method)
    interval = wilson(successes, n, level)
    return Figure(name, successes / n, interval.low, interval.high, n, method)


def percent(level: float) -> str:
    """A level as people write it: "95 %", "99.9 %"."""
    return f"{level * 100:.4g} %"


def bootstrap_means(
    values: NDArray[np.floating], rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> NDArray[np.float64]:
    """Means over images of `num_resamples` resamples of the images.

    Any statistic that is a function of means over images (log loss, Brier score, a difference of accuracies,
    calibration error from its bins) is bootstrapped by applying that function to each row.

    Args:
        values: real numbers, shape (n,) or (n, columns): one row an image.
        rng: where chance comes from.
        num_resamples: how many.

    Returns:
        float64, shape (num_resamples,) or (num_resamples, columns).

    Raises:
        InvalidValueError: when there is no image.
    """
    num_images = len(values)
    if num_images == 0:
        raise InvalidValueError("there are no images to resample; expected one or more")
    columns = np.asarray(values, dtype=np.float64).reshape(num_images, -1)
    means = np.empty((num_resamples, columns.shape[1]))
    step = max(1, CHUNK // num_images)
    for start in range(0, num_resamples, step):
        rows = min(step, num_resamples - start)
        # Adding row * n lets one bincount count all rows of the chunk.
        picks = rng.integers(0, num_images, size=(rows, num_images), dtype=np.int32)
        flat = (picks + np.arange(rows, dtype=np.int64)[:, None] * num_images).ravel()
        times = np.bincount(flat, minlength=rows * num_images).reshape(rows, num_images)
        means[start : start + rows] = times.astype(np.float64) @ columns / num_images
    return means if np.ndim(values) > 1 else means[:, 0]


class ClassCounts(NamedTuple):
    """What precision, recall and F1 are made of; arrays of shape (..., classes).

    Attributes:
        correct: images of the class that were called by its name.
        true: images of the class.
        predicted: images called by its name.
    """

    correct: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]


def class_counts(matrix: NDArray[np.integer]) -> ClassCounts:
    """The counts per class of one confusion matrix: shape (classes,) each."""
    whole = np.asarray(matrix, dtype=np.int64)
    return ClassCounts(np.diagonal(whole), whole.sum(axis=1), whole.sum(axis=0))


def bootstrap_class_counts(
    matrix: NDArray[np.integer], rng: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> ClassCounts:
    """The counts per class of `num_resamples` resamples of the images behind a confusion matrix.

    Args:
        matrix: integers, shape (classes, classes), row = true class.
        rng: where chance comes from.
        num_resamples: how many.

    Returns:
        Counts of shape (num_resamples, classes).

    Raises:
        InvalidValueError: when the matrix is empty.
    """
    num_classes, num_images = len(matrix), int(matrix.sum())
    if num_images == 0:
        raise InvalidValueError("the confusion matrix is empty; expected one image or more")
    true, predicted = np.nonzero(matrix)
    shares = matrix[true, predicted] / num_images
    counts = ClassCounts(*(np.zeros((num_resamples, num_classes), dtype=np.int64) for _ in range(3)))
    step = max(1, CHUNK // len(shares))
    for start in range(0, num_resamples, step):
        rows = slice(start, min(start + step, num_resamples))
        cells = rng.multinomial(num_images, shares, size=rows.stop - rows.start)
        diagonal = true == predicted
        counts.correct[rows, true[diagonal]] = cells[:, diagonal]
        _add_by_class(counts.true[rows], cells, true)
        _add_by_class(counts.predicted[rows], cells, predicted)
    return counts


def _add_by_class(sums: NDArray[np.int64], cells: NDArray[np.int64], classes: NDArray[np.int64]) -> None:
    """Sums the columns of `cells` that belong to one class into that class's column of `sums`."""
    order = np.argsort(classes, kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    sums[:, present] = np.add.reduceat(cells[:, order], starts, axis=1)


def percentile_interval(resampled: NDArray[np.floating], level: float = LEVEL) -> Interval:
    """The middle `level` of resampled statistics: shape (num_resamples,); those that are NaN (undefined) are left out.

    Raises:
        InvalidValueError: when `level` is not between 0 and 1.
    """
    tail = (1 - check_level(level)) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return Interval(float(low), float(high))
