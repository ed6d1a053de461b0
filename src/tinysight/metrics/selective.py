"""Knowing when not to answer: ranking by score, accuracy at partial coverage, scores for inputs of no known class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinysight.errors import InvalidValueError
from tinysight.metrics.calibration import log_sum_exp, softmax
from tinysight.metrics.figures import Figure
from tinysight.metrics.intervals import LEVEL, Interval, normal_quantile, percent


def auroc(negatives: ArrayLike, positives: ArrayLike) -> float:
    """The chance that a random positive scores above a random negative, equal scores counting half.

    The area under the ROC curve: Hanley and McNeil 1982, Radiology 143; 0.5 is a coin, 1 a perfect ranking.

    Args:
        negatives: finite or infinite scores, shape (n,), none of them NaN.
        positives: likewise, shape (m,).

    Raises:
        InvalidValueError: when either is empty, not one-dimensional, or holds NaN.
    """
    low, high = _check_scores(negatives), _check_scores(positives)
    low = np.sort(low)
    below = np.searchsorted(low, high, side="left")
    not_above = np.searchsorted(low, high, side="right")
    return float((below + not_above).sum() / (2 * len(low) * len(high)))


def auroc_interval(value: float, num_negatives: int, num_positives: int, level: float = LEVEL) -> Interval:
    """A score interval for an area under the ROC curve that stays within 0..1, also for a perfect ranking.

    Method 5 of R. G. Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic. Part 2", Statistics in Medicine 25: all areas that are within z standard errors (Hanley and McNeil's, at
    that area, with both group sizes replaced by their mean) of the one found.

    Args:
        value: the area, 0 to 1.
        num_negatives: how many negatives it was measured on.
        num_positives: how many positives.
        level: how often such an interval holds the true area.
    """
    z = normal_quantile(level)
    return Interval(
        _furthest_area(value, 0.0, z, num_negatives, num_positives),
        _furthest_area(value, 1.0, z, num_negatives, num_positives),
    )


def _furthest_area(value: float, end: float, z: float, num_negatives: int, num_positives: int) -> float:
    """The area between `value` and `end`, furthest from `value`, that is within z standard errors of it."""
    inside, outside = value, end
    mean_size = (num_negatives + num_positives) / 2 - 1
    for _ in range(60):
        area = (inside + outside) / 2
        spread = 1 + mean_size * ((1 - area) / (2 - area) + area / (1 + area))
        variance = area * (1 - area) * spread / (num_negatives * num_positives)
        if (area - value) ** 2 <= z * z * variance:
            inside = area
        else:
            outside = area
    return inside


def auroc_figure(name: str, negatives: ArrayLike, positives: ArrayLike) -> Figure:
    """The area under the ROC curve with its interval; `n` counts both groups."""
    value = auroc(negatives, positives)
    num_negatives, num_positives = len(np.asarray(negatives)), len(np.asarray(positives))
    low, high = auroc_interval(value, num_negatives, num_positives)
    return Figure(name, value, low, high, num_negatives + num_positives, f"Newcombe {percent(LEVEL)}")


def _check_scores(scores: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or np.isnan(array).any():
        raise InvalidValueError(f"scores have shape {array.shape}; expected one number or more, none of them NaN")
    return array


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Error rate on the images a model is surest of, for every share of images it could answer.

    Attributes:
        thresholds: float64, shape (steps,), falling: images with at least this confidence are answered. Images of equal
            confidence are one step, as no threshold tells them apart.
        coverage: float64, shape (steps,), rising to 1: the share of images answered.
        risk: float64, shape (steps,): the share of these that is wrong.
        area: the mean risk over coverage (AURC); lower is better.
    """

    thresholds: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    area: float

    def accuracy_at(self, coverage: float) -> float:
        """The accuracy on the surest images when at least the share `coverage` of all is answered.

        Raises:
            InvalidValueError: when `coverage` is not above 0 and at most 1.
        """
        if not 0 < coverage <= 1:
            raise InvalidValueError(f"the coverage is {coverage}; expected a fraction above 0, at most 1")
        # Less a rounding error, so that 0.3 of 10 images are 3 and not 4.
        step = int(np.searchsorted(self.coverage, coverage - 1e-12))
        return float(1 - self.risk[step])


def risk_coverage(confidence: ArrayLike, right: ArrayLike) -> RiskCoverage:
    """The risk-coverage curve of a confidence score: Geifman and El-Yaniv 2017, arXiv 1705.08500.

    Args:
        confidence: real numbers, shape (n,), higher = surer, as the top probability.
        right: whether each image was classified right: bool, shape (n,).

    Raises:
        InvalidValueError: when lengths differ, there is no image, or a confidence is NaN.
    """
    scores, hits = _check_scores(confidence), np.asarray(right, dtype=bool)
    if hits.shape != scores.shape:
        raise InvalidValueError(f"{len(scores)} confidences for {hits.size} images; expected one each")
    order = np.argsort(-scores, kind="stable")
    scores, wrong = scores[order], np.cumsum(~hits[order])
    last = np.append(scores[1:] != scores[:-1], True)
    answered = np.arange(1, len(scores) + 1)[last]
    coverage, risk = answered / len(scores), wrong[last] / answered
    area = float((risk * np.diff(coverage, prepend=0.0)).sum())
    return RiskCoverage(scores[last], coverage, risk, area)


def probability_score(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - the largest probability: Hendrycks and Gimpel 2017, arXiv 1610.02136."""
    return np.asarray(1 - softmax(logits).max(axis=1))


def entropy_score(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The entropy of the probabilities, in nats: 0 when sure of one class, log(classes) when of none."""
    scores = np.asarray(logits, dtype=np.float64)
    logs = scores - log_sum_exp(scores)[:, None]
    return np.asarray(-(np.exp(logs) * logs).sum(axis=1))


def energy_score(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The free energy -log(sum(exp(logits))): Liu, Wang, Owens, Li 2020, arXiv 2010.03759.

    Raises:
        InvalidValueError: when the logits are logarithms of probabilities, whose energy is 0 for every image.
    """
    energy = -log_sum_exp(logits)
    if len(energy) and np.abs(energy).max() < 1e-3:
        raise InvalidValueError("the energy of log probabilities is always 0; expected the net's own logits")
    return np.asarray(energy)


# Name -> score of shape (n,) for logits of shape (n, classes): higher = less like the images trained on. The first two
# may be given log probabilities; the energy needs the net's own logits.
OUTLIER_SCORES: dict[str, Callable[[NDArray[np.floating]], NDArray[np.float64]]] = {
    "probability": probability_score,
    "entropy": entropy_score,
    "energy": energy_score,
}
