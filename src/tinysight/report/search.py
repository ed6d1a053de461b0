"""What a search came to, as records for its page: the best recipe, every trial, what mattered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinysight.metrics.intervals import wilson
from tinysight.report.charts import Chart, Series, make_chart
from tinysight.report.words import GAP, count, counted, duration, percent, short_number

# Trials are dots; one that was pruned is drawn where it stopped.
WHOLE, PRUNED = "first points", "second points"
MAX_NAME = 14


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial.

    Attributes:
        number: from 0, in the order in which they began.
        state: "whole", "pruned" or "failed".
        accuracy: of the validation images, after the last epoch that it was scored at; None where it failed before.
        epochs: that it was trained.
        seconds: of training; None where it was pruned or failed.
        values: of the searched fields, as the recipe has them.
        reason: why it failed, or "".
    """

    number: int
    state: str
    accuracy: float | None
    epochs: int
    seconds: float | None
    values: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class SearchedField:
    """A field, what it was before, what the best recipe has, and where it was searched.

    Attributes:
        is_log: whether its axis is one of orders of magnitude.
        choices: what was to be chosen from, or empty for a range.
        importance: the share of the trials' differences that it explains, or None where that was not worked out.
    """

    name: str
    before: str
    best: str
    searched: str
    is_log: bool
    choices: tuple[str, ...]
    importance: float | None


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """Everything that the page shows; `best` is None while no trial is whole."""

    name: str
    folder: str
    best_file: str
    recipe: str
    data: str
    num_train: int
    num_validation: int
    trials: tuple[Trial, ...]
    best: Trial | None
    fields: tuple[SearchedField, ...]
    sentences: tuple[str, ...]
    charts: tuple[Chart, ...]

    @property
    def json(self) -> dict[str, Any]:
        """The numbers behind the page, as JSON values."""
        return {
            "trials": [vars(trial) for trial in self.trials],
            "best": None if self.best is None else self.best.number,
            "importances": {field.name: field.importance for field in self.fields},
            "charts": {chart.key: chart.data for chart in self.charts},
        }


def search_page(
    *,
    name: str,
    folder: str,
    best_file: str,
    recipe: str,
    described: Mapping[str, Any],
    trials: Sequence[Trial],
    fields: Sequence[SearchedField],
) -> SearchPage:
    """The records of a search's page; `described` is the search's description file."""
    whole = [trial for trial in trials if trial.state == "whole"]
    best = max(whole, key=lambda trial: (trial.accuracy or 0.0, -trial.number), default=None)
    return SearchPage(
        name=name,
        folder=folder,
        best_file=best_file,
        recipe=recipe,
        data=described["data"],
        num_train=described["num_train"],
        num_validation=described["num_validation"],
        trials=tuple(trials),
        best=best,
        fields=tuple(fields),
        sentences=tuple(_sentences(trials, best, described["num_validation"])),
        charts=(_progress(trials), *(_slice(trials, field) for field in fields)) if whole else (),
    )


def _sentences(trials: Sequence[Trial], best: Trial | None, num_validation: int) -> list[str]:
    states = [trial.state for trial in trials]
    parts = [f"{states.count(state)} {state}" for state in ("whole", "pruned", "failed") if state in states]
    sentences = [f"{counted(len(trials), 'trial')}: {', '.join(parts)}."]
    spent = sum(trial.seconds or 0.0 for trial in trials)
    sentences[0] += f" The whole ones trained for {duration(spent)} together." if spent else ""
    if best is None or best.accuracy is None:
        return [*sentences, "No trial came to its end, so there is no best recipe."]
    low, high = wilson(round(best.accuracy * num_validation), num_validation)
    images = counted(num_validation, "validation image")
    sentences.append(
        f"The best, number {best.number}, names {percent(best.accuracy)} of {images} right; 95 % interval of one"
        f" that was not chosen by them: {percent(low)} to {percent(high)}."
    )
    sentences.append(
        "It is the best of many by the same images, so new images will do somewhat worse by it. The test split was not"
        " looked at: train the best recipe and its test accuracy is an honest figure."
    )
    equal = [trial for trial in trials if trial.state == "whole" and (trial.accuracy or 0) >= low]
    if len(equal) > 1:
        sentences.append(
            f"{len(equal)} of the whole trials lie within that interval: these images hardly tell them apart."
        )
    return sentences


def _accuracy_axis() -> dict[str, Any]:
    return {"y_label": "validation accuracy", "y_format": lambda value: f"{100 * value:.4g}{GAP}%"}


def _by_state(trials: Sequence[Trial], x: Callable[[Trial], float]) -> list[Series]:
    series = []
    for state, kind, name in (("whole", WHOLE, "whole trial"), ("pruned", PRUNED, "pruned, where it stopped")):
        shown = sorted(
            (x(trial), trial.accuracy) for trial in trials if trial.state == state and trial.accuracy is not None
        )
        if shown:
            series.append(Series(name=name, xs=[a for a, _ in shown], ys=[b for _, b in shown], kind=kind))
    return series


def _progress(trials: Sequence[Trial]) -> Chart:
    """Every trial in its order, and the best so far."""
    xs, ys, best = [], [], -math.inf
    for trial in trials:
        if trial.state == "whole" and trial.accuracy is not None:
            best = max(best, trial.accuracy)
            xs.append(float(trial.number))
            ys.append(best)
    return make_chart(
        "search-progress", "Trial by trial", f"The best so far went from {percent(ys[0])} to {percent(ys[-1])}.",
        [
            *_by_state(trials, lambda trial: float(trial.number)),
            Series(name="best so far", xs=xs, ys=ys, kind="reference"),
        ],
        x_label="trial", whole_x=True, **_accuracy_axis(),
    )  # fmt: skip


def _slice(trials: Sequence[Trial], field: SearchedField) -> Chart:
    """Accuracy against one field, the others as they came."""
    place, options = _choice_axis(field) if field.choices else _number_axis(field)
    chart = make_chart(
        f"search-{field.name}", field.name, _weight(field),
        _by_state(trials, lambda trial: place(trial.values[field.name])), **options, **_accuracy_axis(),
    )  # fmt: skip
    # A row a trial, as several trials may have the same value.
    rows = [
        (value_text(trial.values[field.name]), percent(trial.accuracy, 2), trial.state, str(trial.number))
        for trial in sorted(trials, key=lambda trial: -(trial.accuracy or 0.0))
        if trial.accuracy is not None
    ]
    return replace(chart, header=(field.name, "accuracy", "state", "trial"), rows=tuple(rows))


def _choice_axis(field: SearchedField) -> tuple[Callable[[Any], float], dict[str, Any]]:
    names = [choice if len(choice) <= MAX_NAME else f"{choice[: MAX_NAME - 1]}…" for choice in field.choices]

    def name_of(x: float) -> str:
        return names[round(x)] if abs(x - round(x)) < 1e-6 and 0 <= round(x) < len(names) else ""

    options = {"x_label": field.name, "x_format": name_of, "x_range": (-0.5, len(names) - 0.5), "whole_x": True}
    return lambda value: float(field.choices.index(value_text(value))), options


def _number_axis(field: SearchedField) -> tuple[Callable[[Any], float], dict[str, Any]]:
    if not field.is_log:
        return float, {"x_label": field.name}
    label = f"{field.name} (by orders of magnitude)"
    return math.log10, {"x_label": label, "x_format": lambda x: short_number(float(f"{10**x:.2g}"))}


def _weight(field: SearchedField) -> str:
    if field.importance is None:
        return ""
    return f"Explains {percent(field.importance, 0)} of the differences between whole trials (fANOVA)."


def trial_rows(page: SearchPage) -> list[tuple[str, ...]]:
    """Every trial as a row of words, the best first."""
    order = sorted(page.trials, key=lambda trial: (trial.state != "whole", -(trial.accuracy or 0.0), trial.number))
    return [
        (
            str(trial.number), trial.state, percent(trial.accuracy, 2), count(trial.epochs), duration(trial.seconds),
            *(value_text(trial.values.get(field.name)) for field in page.fields), trial.reason,
        )
        for trial in order
    ]  # fmt: skip


def value_text(value: Any) -> str:
    """A field's value as a table shows it."""
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
