"""All scores of one set of predictions in one record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.metrics.counts import confusion_matrix, predicted_classes
from tinysight.metrics.figures import Figure, check_predictions
from tinysight.metrics.intervals import bootstrap_class_counts
from tinysight.metrics.scores import (
    ClassScores,
    accuracy,
    brier_scores,
    class_scores,
    log_losses,
    matrix_figures,
    mean_figures,
    top_k_accuracy,
)

# Those below the number of classes are reported: top 10 of 10 says nothing.
TOP_K = (2, 5)


@dataclass(frozen=True, eq=False)
class Summary:
    """What the predictions on one split are worth.

    Attributes:
        num_images: how many images, each counted once.
        class_names: one name per class, in label order.
        figures: name -> figure, in the order to print them: accuracy, balanced_accuracy, top_2_accuracy,
            top_5_accuracy (where there are more classes than that), macro_f1, log_loss, brier_score.
        classes: the scores of each class, in label order.
        confusion: int64, shape (classes, classes), row = true class, column = predicted class.
    """

    num_images: int
    class_names: tuple[str, ...]
    figures: dict[str, Figure]
    classes: tuple[ClassScores, ...]
    confusion: NDArray[np.int64]

    @property
    def accuracy(self) -> Figure:
        return self.figures["accuracy"]

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON values; what is not defined is None, never NaN."""
        return {
            "num_images": self.num_images,
            "class_names": list(self.class_names),
            "figures": {name: figure.to_dict() for name, figure in self.figures.items()},
            "classes": [scores.to_dict() for scores in self.classes],
            "confusion": self.confusion.tolist(),
        }


def summarize(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], class_names: Sequence[str], *, seed: int = 0
) -> Summary:
    """Every score of one set of predictions, with 95 % intervals.

    Args:
        probabilities: real numbers, shape (n, classes), rows that sum to 1.
        labels: integers, shape (n,), the true classes.
        class_names: one name per class, in label order.
        seed: of the bootstrap: the same predictions and seed give the same intervals.

    Raises:
        InvalidValueError: when the predictions are none, or there are more or fewer names than classes.
    """
    rows, true = check_predictions(probabilities, labels)
    num_classes = rows.shape[1]
    if len(class_names) != num_classes:
        raise InvalidValueError(f"{len(class_names)} class names for {num_classes} classes; expected one each")
    rng = np.random.default_rng(seed)
    matrix = confusion_matrix(true, predicted_classes(rows), num_classes)
    resampled = bootstrap_class_counts(matrix, rng)
    balanced, macro_f1 = matrix_figures(matrix, resampled)
    figures = [
        accuracy(matrix),
        balanced,
        *(top_k_accuracy(rows, true, k) for k in TOP_K if k < num_classes),
        macro_f1,
        *mean_figures({"log_loss": log_losses(rows, true), "brier_score": brier_scores(rows, true)}, rng),
    ]
    return Summary(
        num_images=len(true),
        class_names=tuple(class_names),
        figures={figure.name: figure for figure in figures},
        classes=class_scores(matrix, tuple(class_names), resampled),
        confusion=matrix,
    )
