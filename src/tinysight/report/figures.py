"""The run's figures as a reader meets them: name, meaning, value, interval and number of images, as words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinysight.report.words import MISSING, number, percent

# Name -> (what it is called, what it means, whether it is a share printed in percent).
MEANINGS: dict[str, tuple[str, str, bool]] = {
    "accuracy": ("Accuracy", "images whose most probable class is the true one", True),
    "balanced_accuracy": (
        "Balanced accuracy",
        "mean over classes of the share found; every class counts the same",
        True,
    ),
    "top_2_accuracy": ("Top-2 accuracy", "the true class is among the two most probable", True),
    "top_5_accuracy": ("Top-5 accuracy", "the true class is among the five most probable", True),
    "macro_f1": ("Macro F1", "mean over classes of F1, which weighs missed against wrongly named images", True),
    "log_loss": ("Log loss", "what sure mistakes cost; 0 is perfect, lower is better", False),
    "brier_score": ("Brier score", "squared distance of the scores from the truth, 0 (best) to 2", False),
    "expected_calibration_error": ("Calibration error", "mean gap between score and accuracy; 0 is perfect", True),
}


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """One figure, ready to print.

    Attributes:
        name: its key.
        title, meaning: in words.
        value, low, high: as measured; None where not defined.
        text: the value in words.
        interval: the interval in words, or empty.
        n: on how many images.
        method: how the interval was made.
        is_share: whether it lies within 0..1, so that it can be drawn on a scale.
    """

    name: str
    title: str
    meaning: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    interval: str
    n: int
    method: str
    is_share: bool


def figure_row(name: str, record: Mapping[str, Any], *, title: str = "", meaning: str = "") -> FigureRow:
    """A figure as `metrics.json` holds it; words default to those of `MEANINGS`."""
    known = MEANINGS.get(name, (name.replace("_", " "), "", True))
    is_share = known[2]
    low, high = record["interval"] or (None, None)
    write = percent if is_share else number
    interval = "" if low is None or high is None else f"{write(low)} to {write(high)}"
    return FigureRow(
        name=name,
        title=title or known[0],
        meaning=meaning or known[1],
        value=record["value"],
        low=low,
        high=high,
        text=write(record["value"]),
        interval=interval,
        n=record["n"],
        method=record["method"],
        is_share=is_share,
    )


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """The figures of one class.

    Attributes:
        index, name: the class.
        num_train: images that it was trained on; None where the run does not say.
        support: test images of it.
        recall, precision, f1: figures.
        mistaken_for: what its images were most often taken for, in words; empty when for nothing else.
        is_weak: whether even the upper end of its recall lies below the accuracy over all classes.
    """

    index: int
    name: str
    num_train: int | None
    support: int
    recall: FigureRow
    precision: FigureRow
    f1: FigureRow
    mistaken_for: str
    is_weak: bool


def class_rows(test: Mapping[str, Any], train_counts: list[int] | None) -> tuple[ClassRow, ...]:
    """The classes in label order, from the test figures of `metrics.json`."""
    accuracy = test["figures"]["accuracy"]["value"]
    rows = []
    for index, scores in enumerate(test["classes"]):
        recall = figure_row(
            "recall", scores["recall"], title="Found", meaning="of its images, those called by its name"
        )
        rows.append(
            ClassRow(
                index=index,
                name=scores["name"],
                num_train=None if train_counts is None else train_counts[index],
                support=scores["support"],
                recall=recall,
                precision=figure_row("precision", scores["precision"], title="Precision"),
                f1=figure_row("f1", scores["f1"], title="F1"),
                mistaken_for=_mistaken_for(test["confusion"][index], index, test["class_names"]),
                is_weak=recall.high is not None and recall.high < accuracy,
            )
        )
    return tuple(rows)


def _mistaken_for(row: list[int], index: int, names: list[str]) -> str:
    others = [(count, -other) for other, count in enumerate(row) if other != index and count]
    if not others:
        return MISSING
    count, other = max(others)
    return f"{names[-other]} ({count})"
