"""Two sets of predictions on the same images, or two recipes over seeds: is the difference more than chance?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.metrics.counts import predicted_classes
from tinysight.metrics.distributions import coin_at_most, coin_exactly, student_quantile, student_two_sided
from tinysight.metrics.figures import Figure, check_predictions
from tinysight.metrics.intervals import LEVEL, bootstrap_means, percent, percentile_interval
from tinysight.metrics.seeds import over_seeds


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two classifiers on the same images.

    Attributes:
        only_first: images that only the first has right.
        only_second: images that only the second has right.
        exact_p: two-sided p of the exact binomial test: under no difference each of these images is a fair coin.
        mid_p: the same with half the chance of the outcome itself, which is less conservative and nearly always keeps
            its level: Fagerland, Lydersen, Laake 2013, "The McNemar test for binary matched-pairs data: mid-p and
            asymptotic are better than exact conditional", BMC Medical Research Methodology 13:91.
    """

    only_first: int
    only_second: int
    exact_p: float
    mid_p: float


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """McNemar's exact and mid-p test (Q. McNemar 1947, Psychometrika 12) from the two counts that differ.

    Raises:
        InvalidValueError: when a count is negative.
    """
    if min(only_first, only_second) < 0:
        raise InvalidValueError(f"the counts are {only_first} and {only_second}; expected 0 or more")
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    both_tails = 2 * coin_at_most(fewer, tosses) if tosses else 1.0
    mid_p = both_tails - coin_exactly(fewer, tosses) if tosses else 1.0
    return McNemar(only_first, only_second, min(1.0, both_tails), min(1.0, mid_p))


@dataclass(frozen=True)
class Comparison:
    """Two sets of predictions of the same images.

    Attributes:
        difference: accuracy of the second minus accuracy of the first, with a paired bootstrap interval.
        test: McNemar's.
        agreement: share of images that both call the same.
        verdict: the finding in words.
    """

    difference: Figure
    test: McNemar
    agreement: float
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values under the attributes' names."""
        return {
            "difference": self.difference.to_dict(),
            "test": asdict(self.test),
            "agreement": self.agreement,
            "verdict": self.verdict,
        }


def compare_predictions(
    first: tuple[NDArray[np.floating], NDArray[np.integer]],
    second: tuple[NDArray[np.floating], NDArray[np.integer]],
    *,
    names: tuple[str, str] = ("the first", "the second"),
    seed: int = 0,
) -> Comparison:
    """Compares two sets of predictions of the same images, in the same order.

    Args:
        first: probabilities, shape (n, classes), and the labels of its images, shape (n,).
        second: likewise.
        names: what the verdict calls them.
        seed: of the bootstrap.

    Raises:
        InvalidValueError: when either is no prediction, or they are of different images: lengths or labels differ.
    """
    rows, labels = check_predictions(*first)
    other_rows, other_labels = check_predictions(*second)
    _check_same_images(labels, other_labels)
    said, other_said = predicted_classes(rows), predicted_classes(other_rows)
    right, other_right = said == labels, other_said == labels
    gain = other_right.astype(np.float64) - right
    resampled = bootstrap_means(gain, np.random.default_rng(seed))
    low, high = percentile_interval(resampled)
    method = f"paired bootstrap {percent(LEVEL)}"
    difference = Figure("accuracy_difference", float(gain.mean()), low, high, len(labels), method)
    test = mcnemar(int((right & ~other_right).sum()), int((other_right & ~right).sum()))
    return Comparison(
        difference=difference,
        test=test,
        agreement=float((said == other_said).mean()),
        verdict=_verdict(difference, test.mid_p, names, f"{len(labels):,} images"),
    )


def _check_same_images(labels: NDArray[np.int64], other: NDArray[np.int64]) -> None:
    if len(labels) != len(other):
        raise InvalidValueError(
            f"the predictions are of {len(labels)} and {len(other)} images; only the same images can be compared"
        )
    num_different = int((labels != other).sum())
    if num_different:
        raise InvalidValueError(
            f"{num_different} of {len(labels)} labels differ between the two; only the same images, in the same order,"
            " can be compared"
        )


@dataclass(frozen=True)
class SeedComparison:
    """A figure of two recipes over seeds.

    Attributes:
        difference: mean of the second minus mean of the first, with Welch's t interval; `n` counts all seeds.
            It has no interval where the seeds of both recipes agree exactly.
        p: two-sided p of Welch's test; None where the seeds agree exactly, which leaves no spread to test against.
        verdict: the finding in words.
    """

    difference: Figure
    p: float | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values under the attributes' names."""
        return {"difference": self.difference.to_dict(), "p": self.p, "verdict": self.verdict}


def compare_seeds(
    first: Sequence[float], second: Sequence[float], *, names: tuple[str, str] = ("the first", "the second")
) -> SeedComparison:
    """Compares the mean accuracy of two recipes over seeds, of which they may have different numbers and spreads.

    B. L. Welch 1947, "The generalization of 'Student's' problem when several different population variances are
    involved", Biometrika 34.

    Args:
        first: accuracy of each seed, a fraction.
        second: likewise.
        names: what the verdict calls them.

    Raises:
        InvalidValueError: when either has fewer than two seeds, or one is not finite.
    """
    if min(len(first), len(second)) < 2:
        raise InvalidValueError(f"{len(first)} and {len(second)} seeds; expected at least 2 of each to know the spread")
    one, two = over_seeds("accuracy", first), over_seeds("accuracy", second)
    num_seeds, method = len(first) + len(second), f"Welch t {percent(LEVEL)}"
    gain = float(np.mean(second) - np.mean(first))
    variances = [float(np.square(side.std or 0.0)) / len(side.values) for side in (one, two)]
    error, basis = math.sqrt(sum(variances)), f"{len(first)} and {len(second)} seeds"
    # The rounded mean of equal numbers may leave an error just above 0.
    if error == 0 or len(set(one.values)) == len(set(two.values)) == 1:
        difference = Figure("accuracy_difference", gain, None, None, num_seeds, method)
        return SeedComparison(difference, None, _untested(gain, names, basis))
    parts = [variance**2 / (len(side.values) - 1) for variance, side in zip(variances, (one, two), strict=True)]
    degrees = sum(variances) ** 2 / sum(parts)
    p, half = student_two_sided(gain / error, degrees), student_quantile(LEVEL, degrees) * error
    difference = Figure("accuracy_difference", gain, gain - half, gain + half, num_seeds, method)
    return SeedComparison(difference, p, _verdict(difference, p, names, basis))


def _untested(gain: float, names: tuple[str, str], basis: str) -> str:
    worse, better = names if gain >= 0 else names[::-1]
    return (
        f"{better[0].upper()}{better[1:]} minus {worse} is {100 * abs(gain):+.2f} points on {basis}, not tested: seeds"
        " that agree leave no spread to test against."
    )


def _verdict(difference: Figure, p: float, names: tuple[str, str], basis: str) -> str:
    """One sentence or two: who is better, by how much, and whether chance explains it (at 1 - LEVEL)."""
    gain, low, high = (100 * (number or 0.0) for number in (difference.value, difference.low, difference.high))
    worse, better = names if gain > 0 else names[::-1]
    if gain < 0:
        gain, low, high = -gain, -high, -low
    chance = "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
    if p >= 1 - LEVEL:
        return (
            f"No difference that {basis} can show: {better} minus {worse} is {gain:+.2f} points"
            f" ({low:+.2f} to {high:+.2f}), {chance}."
        )
    return (
        f"{better[0].upper()}{better[1:]} is better than {worse} by {gain:.2f} points ({low:+.2f} to {high:+.2f}):"
        f" more than chance explains on {basis} ({chance})."
    )
