"""Of the labels that a model calls wrong, those that are worth a person's time.

Confident learning counts as wrong what the model is surer of in another class than it is on average of that class's own
images. A weak model's averages are low, so that most of what it names are its own mistakes: with 75 % accuracy it names
1,288 of CIFAR-10's 10,000 test labels, of which people found 54 wrong (Northcutt, Athalye, Mueller 2021, "Pervasive
label errors in test sets", arXiv 2103.14749). How many of a list to expect can be told from the model's own
probabilities: were an image's label another one, drawn at random, its score would be the probability of that class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.labels import LabelIssue, find_label_issues, label_scores

# What is assumed where nothing points to more, and at most: CIFAR-10's test split has 0.5 % wrong labels, ten common
# ones have 3.3 % on average and 10.1 % at most (the same source). Without a most, a model that knows nothing would put
# all that it does not know down to the labels.
ASSUMED_RATE, MAX_RATE = 0.01, 0.1
# The list ends where less than half of it would be wrong at that rate.
MIN_PRECISION = 0.5
# From so many images on their share says something about the rate.
MIN_IMAGES = 20


@dataclass(frozen=True, kw_only=True)
class Shortlist:
    """The labels to look at, worst first.

    Attributes:
        issues: what is listed.
        num_flagged: how many labels confident learning calls wrong; those that are not listed are mostly the model's
            own mistakes.
        rate: the share of wrong labels, drawn at random, that the next figure assumes.
        precision: the share of the list that would be wrong then; None where every flagged label is listed, as then
            it was not cut by it.
        accuracy: of the model on the labels as they are.
    """

    issues: tuple[LabelIssue, ...]
    num_flagged: int
    rate: float
    precision: float | None
    accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values: all but the issues."""
        return {
            "num_suspects": len(self.issues),
            "num_flagged": self.num_flagged,
            "assumed_rate": self.rate,
            "expected_precision": self.precision,
            "accuracy": self.accuracy,
        }


def shortlist(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Shortlist:
    """The flagged labels of which half or more would be wrong, were labels wrong at random.

    The assumed rate is 1 % (and one image at least), or up to 10 % where even the worst scores are too many for that:
    the smallest ratio of "labels that score so low" to "other classes that score so low" bounds it.

    Args:
        probabilities: real numbers, shape (n, classes), rows that sum to 1, of images that the model had not learned.
        labels: integers, shape (n,).

    Raises:
        InvalidValueError: when the predictions are none.
    """
    issues = find_label_issues(probabilities, labels)
    rows, given = np.asarray(probabilities, np.float64), np.asarray(labels)
    scores = np.sort(label_scores(rows, given))
    accuracy = float((rows.argmax(axis=1) == given).mean())
    others = np.sort(rows[np.arange(rows.shape[1]) != given[:, None]])
    # For the k worst labels: the share of random wrong labels that would score as low as the k-th.
    found = np.searchsorted(others, scores, side="right") / max(len(others), 1)
    rate = _rate(found)
    worst = np.searchsorted(scores, [issue.score for issue in issues], side="right")
    # Of each beginning of the list: the share of it that would be wrong labels.
    expected = rate * len(scores) * found[worst - 1] / np.arange(1, len(issues) + 1)
    good = np.flatnonzero(expected >= MIN_PRECISION)
    num_listed = int(good[-1]) + 1 if len(good) else 0
    return Shortlist(
        issues=tuple(issues[:num_listed]),
        num_flagged=len(issues),
        rate=rate,
        precision=float(expected[num_listed - 1]) if 0 < num_listed < len(issues) else None,
        accuracy=accuracy,
    )


def _rate(found: NDArray[np.float64]) -> float:
    num_images = len(found)
    assumed = max(ASSUMED_RATE, 1 / num_images)
    if num_images < MIN_IMAGES:
        return assumed
    counts = np.arange(1, num_images + 1)[MIN_IMAGES - 1 :]
    ratios = counts / num_images / np.maximum(found[MIN_IMAGES - 1 :], 1e-12)
    return float(max(assumed, min(ratios.min(), MAX_RATE)))
