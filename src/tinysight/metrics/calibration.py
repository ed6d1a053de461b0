"""Whether a score of 0.8 means right four times in five: reliability bins, calibration error, temperature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError, UnknownNameError
from tinysight.metrics.counts import predicted_classes
from tinysight.metrics.figures import Figure, check_labels, check_predictions
from tinysight.metrics.intervals import (
    CHUNK,
    LEVEL,
    NUM_RESAMPLES,
    Interval,
    bootstrap_means,
    percent,
    percentile_interval,
    wilson,
)

NUM_BINS = 15
# A temperature beyond these says that the scores are useless or perfect, not how to correct them.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose top score lies in one range.

    Attributes:
        low: lower end of the range, not part of it.
        high: upper end, part of it.
        count: how many images, at least 1: empty bins are left out.
        confidence: their mean top score.
        accuracy: the share of them that is right.
        interval: Wilson's 95 % interval of `accuracy`.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class Reliability:
    """How top scores and accuracy go together.

    Attributes:
        bins: the bins that hold images, from low to high scores.
        binning: "width" (bins as wide as each other) or "mass" (bins with about as many images as each other).
        expected_error: mean over images of |accuracy - confidence| of their bin (ECE), with interval.
        largest_error: the largest |accuracy - confidence| of a bin (MCE). Small bins make it large by chance.
    """

    bins: tuple[ReliabilityBin, ...]
    binning: str
    expected_error: Figure
    largest_error: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values under the attributes' names; each bin is a dict too."""
        return {
            "binning": self.binning,
            "bins": [asdict(item) | {"interval": list(item.interval)} for item in self.bins],
            "expected_error": self.expected_error.to_dict(),
            "largest_error": self.largest_error,
        }


def equal_width_edges(confidence: NDArray[np.floating], num_bins: int) -> NDArray[np.float64]:
    """The inner edges of `num_bins` bins of the same width over 0..1."""
    return np.linspace(0, 1, num_bins + 1)[1:-1]


def equal_mass_edges(confidence: NDArray[np.floating], num_bins: int) -> NDArray[np.float64]:
    """The inner edges of up to `num_bins` bins with about as many images each; equal scores share a bin."""
    return np.unique(np.quantile(confidence, np.linspace(0, 1, num_bins + 1)[1:-1], method="lower")).astype(np.float64)


# Name -> inner edges for scores of shape (n,); a bin holds its upper edge.
BINNINGS: dict[str, Callable[[NDArray[np.floating], int], NDArray[np.float64]]] = {
    "width": equal_width_edges,
    "mass": equal_mass_edges,
}


def reliability(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    num_bins: int = NUM_BINS,
    binning: str = "width",
    seed: int = 0,
) -> Reliability:
    """Reliability bins and calibration error of the top score.

    Bins and error as in Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks", ICML
    (arXiv 1706.04599). The error of a finite sample is too large by chance alone, also for a perfectly calibrated
    model, and a bootstrap adds that bias once more; its interval is therefore the bootstrap's reflected at the figure
    (2 * figure - resampled), which takes the bias off again, so that it may lie to the left of the figure. It begins
    at 0 when a calibrated model with these scores would show such an error by chance (consistency resampling: Bröcker
    and Smith 2007, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22). In simulations
    such intervals held the true error 88 to 93 times in 100 for 300 images, and 91 to 99 times for 2,000.

    Args:
        probabilities: real numbers, shape (n, classes), rows that sum to 1.
        labels: integers, shape (n,), the true classes.
        num_bins: how many bins.
        binning: a name in `BINNINGS`.
        seed: of the bootstrap.

    Raises:
        InvalidValueError: when the predictions are none, or `num_bins` is below 1.
        UnknownNameError: when there is no such binning.
    """
    rows, true = check_predictions(probabilities, labels)
    if num_bins < 1:
        raise InvalidValueError(f"num_bins is {num_bins}; expected 1 or more")
    if binning not in BINNINGS:
        raise UnknownNameError("binning", binning, BINNINGS)
    confidence = np.minimum(rows.max(axis=1).astype(np.float64), 1.0)
    right = predicted_classes(rows) == true
    edges = BINNINGS[binning](confidence, num_bins)
    which = np.searchsorted(edges, confidence, side="left")
    bins = _bins(np.concatenate([[0.0], edges, [1.0]]), which, confidence, right)
    gaps = [abs(item.accuracy - item.confidence) for item in bins]
    return Reliability(bins, binning, _expected_error(which, confidence, right, seed), max(gaps))


def _bins(
    edges: NDArray[np.float64], which: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[ReliabilityBin, ...]:
    bins = []
    for index in np.unique(which):
        inside = which == index
        count, hits = int(inside.sum()), int(right[inside].sum())
        low, high, mean = float(edges[index]), float(edges[index + 1]), float(confidence[inside].mean())
        bins.append(ReliabilityBin(low, high, count, mean, hits / count, wilson(hits, count)))
    return tuple(bins)


def _expected_error(
    which: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.bool_], seed: int
) -> Figure:
    # The error is the sum over bins of |sum of (right - confidence)| / n: a function of one mean per bin.
    rng = np.random.default_rng(seed)
    bins = (which[:, None] == np.unique(which)).astype(np.float64)
    gaps = bins * (right - confidence)[:, None]
    value = float(np.abs(gaps.mean(axis=0)).sum())
    resampled = np.abs(bootstrap_means(gaps, rng)).sum(axis=1)
    low, high = percentile_interval(2 * value - resampled)
    if value <= np.quantile(_errors_of_calibrated(bins, confidence, rng), LEVEL):
        low = 0.0
    method = f"reflected bootstrap {percent(LEVEL)}"
    return Figure("expected_calibration_error", value, max(low, 0.0), max(high, 0.0), len(which), method)


def _errors_of_calibrated(
    bins: NDArray[np.float64], confidence: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Errors that a calibrated model with these scores shows by chance alone: float64, shape (NUM_RESAMPLES,)."""
    errors, num_images = np.empty(NUM_RESAMPLES), len(confidence)
    step = max(1, CHUNK // num_images)
    for start in range(0, NUM_RESAMPLES, step):
        rows = slice(start, min(start + step, NUM_RESAMPLES))
        chance = rng.random((rows.stop - rows.start, num_images), dtype=np.float32)
        errors[rows] = np.abs(((chance < confidence) - confidence) @ bins).sum(axis=1) / num_images
    return errors


@dataclass(frozen=True)
class Temperature:
    """The one number that the logits are divided by.

    Attributes:
        value: above 1 makes scores less sure, below 1 surer. 0.05 and 20 are the ends: the best lies there or beyond.
        num_images: how many it was fitted on.
        log_loss_before: mean log loss on these at temperature 1.
        log_loss_after: at `value`; no more than before, but for rounding.
    """

    value: float
    num_images: int
    log_loss_before: float
    log_loss_after: float


def logits_of(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logits whose softmax is `probabilities`: their logarithm, float64, shape (n, classes).

    A softmax forgets only what is added to all logits of an image, which no softmax after it could see. A probability
    that became 0 in its floating type is taken as the smallest that type can hold.
    """
    tiny = np.finfo(probabilities.dtype).tiny
    return np.asarray(np.log(np.maximum(probabilities, tiny).astype(np.float64)))


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> Temperature:
    """The temperature with the lowest log loss, to be fitted on validation data.

    Temperature scaling: Guo et al. 2017, arXiv 1706.04599. The log loss is convex in 1 / temperature, so Newton's
    method, with bisection where it would leave the bracket, finds the lowest point.

    Args:
        logits: real numbers, shape (n, classes): the net's, or `logits_of(probabilities)`.
        labels: integers, shape (n,), the true classes.

    Raises:
        InvalidValueError: when logits and labels do not fit together, or a logit is not finite.
    """
    scores = _check_logits(logits)
    true = check_labels(labels, *scores.shape)
    low, high = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    inverse = 1.0
    for _ in range(100):
        slope, curvature = _slope(scores, true, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - inverse) <= 1e-10 * inverse:
            break
        inverse = following
    before, after = (_mean_log_loss(scores, true, number) for number in (1.0, inverse))
    return Temperature(1 / inverse, len(true), before, after)


def _check_logits(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    scores = np.asarray(logits)
    if scores.ndim != 2 or scores.shape[0] == 0 or scores.dtype.kind != "f" or not np.isfinite(scores).all():
        raise InvalidValueError(
            f"logits are {scores.dtype} of shape {scores.shape}; expected finite real numbers of shape (n, classes)"
        )
    return scores.astype(np.float64)


def _slope(scores: NDArray[np.float64], true: NDArray[np.int64], inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean log loss by 1 / temperature."""
    chances = softmax(scores * inverse)
    mean = (chances * scores).sum(axis=1)
    variance = (chances * np.square(scores - mean[:, None])).sum(axis=1)
    return float(np.mean(mean - scores[np.arange(len(true)), true])), float(np.mean(variance))


def _mean_log_loss(scores: NDArray[np.float64], true: NDArray[np.int64], inverse: float) -> float:
    scaled = scores * inverse
    return float(np.mean(log_sum_exp(scaled) - scaled[np.arange(len(true)), true]))


def log_sum_exp(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """log(sum(exp(logits))) of each row without overflow: float64, shape (n,)."""
    scores = np.asarray(logits, dtype=np.float64)
    top = scores.max(axis=1)
    return np.asarray(top + np.log(np.exp(scores - top[:, None]).sum(axis=1)))


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of logits: float64, shape (n, classes)."""
    scores = np.asarray(logits, dtype=np.float64)
    return np.asarray(np.exp(scores - log_sum_exp(scores)[:, None]))


def apply_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.floating]:
    """Probabilities as they would be with their logits divided by `temperature`; the top class stays the same.

    Args:
        probabilities: float, shape (n, classes), rows that sum to 1.
        temperature: above 0.

    Returns:
        Probabilities of the same shape and type.

    Raises:
        InvalidValueError: when `temperature` is not a finite number above 0.
    """
    if not 0 < temperature < np.inf:
        raise InvalidValueError(f"the temperature is {temperature}; expected a number above 0")
    return softmax(logits_of(probabilities) / temperature).astype(probabilities.dtype)
