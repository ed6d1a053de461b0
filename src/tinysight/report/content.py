"""A report as plain, frozen records, computed from the files of a run: numbers first, templates afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinysight.errors import TinysightError
from tinysight.evaluation.predictions import Predictions, read_predictions
from tinysight.files import read_json
from tinysight.images import DataSet
from tinysight.metrics.counts import most_confused
from tinysight.recipe import Recipe, load_recipe
from tinysight.report import teacher
from tinysight.report.analysis_content import Analysis, read_analysis
from tinysight.report.figures import ClassRow, FigureRow, class_rows, figure_row
from tinysight.report.galleries import (
    Cell,
    Picture,
    Shelf,
    cell_key,
    cell_pictures,
    cells,
    confident_mistakes,
    unsure_hits,
)
from tinysight.report.making import Command, Making, commands_of, making_of
from tinysight.report.trust import Trust, trust_of
from tinysight.report.words import counted, percent
from tinysight.runs import Run, read_summary
from tinysight.training.history import Row, read_history

# Beyond so many classes the page shows those with most mistakes; the whole matrix is in its JSON.
MAX_CLASSES = 30
NUM_PAIRS, NUM_PAIR_PICTURES = 8, 6


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How good it is, and how sure that is.

    Attributes:
        accuracy: the headline.
        figures: all figures of the test images.
        sentences: what they say.
        sureness: what the interval means.
        validation_accuracy: of the held-out validation images, or None.
    """

    accuracy: FigureRow
    figures: tuple[FigureRow, ...]
    sentences: tuple[str, ...]
    sureness: str
    validation_accuracy: FigureRow | None


@dataclass(frozen=True, kw_only=True)
class Pair:
    true: str
    predicted: str
    count: int
    share: str
    key: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Where it fails.

    Attributes:
        sentences: weak classes and confusions in words.
        classes: figures class by class.
        matrix_classes: names of the rows and columns shown.
        matrix: the cells.
        num_hidden: classes that have no row in the matrix shown.
        pairs: the most confused ones.
        mistakes, hits: the galleries; empty without images.
        cell_pictures: pictures behind each cell, by "true,predicted".
    """

    sentences: tuple[str, ...]
    classes: tuple[ClassRow, ...]
    matrix_classes: tuple[str, ...]
    matrix: tuple[tuple[Cell, ...], ...]
    num_hidden: int
    pairs: tuple[Pair, ...]
    mistakes: tuple[Picture, ...]
    hits: tuple[Picture, ...]
    cell_pictures: Mapping[str, Sequence[Picture]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the page shows; `quality`, `failures` and `trust` are None for a run that was never evaluated."""

    run_name: str
    folder: str
    class_names: tuple[str, ...]
    notices: tuple[str, ...]
    validation: str
    was_validated_on_test: bool
    fitting: tuple[str, ...]
    quality: Quality | None
    failures: Failures | None
    trust: Trust | None
    analysis: Analysis
    making: Making
    commands: tuple[Command, ...]
    data: Mapping[str, Any]


def load_images(run: Run, data_dir: Any = None) -> tuple[DataSet | None, str]:
    """The data set of a run and nothing, or None and the reason why it cannot be had."""
    from tinysight.data.source import load_again

    described = read_json(run.data)
    own = described.get("own")
    if own is not None and Path(own["settings"]["name_or_path"]).exists():
        # Then it says where other data sets lie.
        data_dir = None
    try:
        data = load_again(described, data_dir)
    except TinysightError as error:
        return None, str(error)
    if run.predictions.is_file():
        labels = read_predictions(run.predictions)["test"].labels
        if not np.array_equal(labels, data.test.labels):
            return None, f"{data.name} has other test images today than when the run was scored"
    return data, ""


def read_content(
    run: Run, data: DataSet | None, missing: str = "", *, summary: Mapping[str, Any] | None = None
) -> Report:
    """The records of a run's page.

    Args:
        run: a run with at least its recipe, environment and data description.
        data: its images, or None where they are not at hand; the page then has no pictures of them.
        missing: why not.
        summary: of a training that is about to be marked as finished; None to go by the run's own marker.
    """
    recipe, described = load_recipe(str(run.recipe)), read_json(run.data)
    environment = read_json(run.environment)
    if summary is None:
        summary = read_summary(run) if run.is_finished else {}
    rows = read_history(run.history) if run.history.is_file() else []
    predictions = read_predictions(run.predictions) if run.predictions.is_file() else {}
    metrics = read_json(run.metrics) if run.metrics.is_file() and predictions else {}
    analysis = read_analysis(run)
    shelf = Shelf(data.test, predictions["test"]) if data is not None and metrics else None
    quality = _quality(metrics, described, recipe, environment) if metrics else None
    failures = _failures(metrics["test"], described, shelf) if metrics else None
    trust = trust_of(run, predictions, metrics, recipe.seed) if metrics else None
    making = making_of(recipe, described, environment, summary, rows, None if data is None else data.train)
    return Report(
        run_name=run.name,
        folder=str(run.folder),
        class_names=tuple(described["class_names"]),
        notices=_notices(run, bool(summary), rows, environment, recipe, missing, analysis),
        validation=teacher.validation(described["validation"], described["num_validation"]),
        was_validated_on_test=described["validation"] == "test",
        fitting=tuple(teacher.fitting(rows, recipe.metric, described["validation"])),
        quality=quality,
        failures=failures,
        trust=trust,
        analysis=analysis,
        making=making,
        commands=commands_of(run, described),
        data=_data(metrics, predictions, rows, trust, making, analysis, failures),
    )


def _notices(
    run: Run,
    is_finished: bool,
    rows: Sequence[Row],
    environment: Mapping[str, Any],
    recipe: Recipe,
    missing: str,
    analysis: Analysis,
) -> tuple[str, ...]:
    notices = []
    if not is_finished:
        done = f"{counted(len(rows), 'epoch')} of {recipe.epochs}" if rows else "no whole epoch"
        notices.append(
            f"This run did not finish: {done} were completed before it died. The page shows what there is."
            f" `tinysight train --resume {run.folder}` goes on with it where it left a checkpoint."
        )
    elif environment.get("interrupted"):
        epoch = environment.get("epoch_kept", environment["epochs_completed"])
        notices.append(f"This training was interrupted: the model is that of epoch {epoch} of {recipe.epochs}.")
    if missing:
        notices.append(f"The images could not be loaded, so the page has no pictures of them: {missing}.")
    if analysis.stale:
        parts = ", ".join(analysis.stale)
        notices.append(
            f"The model file changed since these parts were measured: {parts}. `tinysight report` measures them again."
        )
    return tuple(notices)


def _quality(
    metrics: Mapping[str, Any], described: Mapping[str, Any], recipe: Recipe, environment: Mapping[str, Any]
) -> Quality:
    rows = tuple(figure_row(name, record) for name, record in metrics["test"]["figures"].items())
    accuracy = rows[0]
    held_out = metrics.get("validation")
    was_changed = _was_changed(recipe, environment)
    return Quality(
        accuracy=accuracy,
        figures=rows,
        sentences=(
            *teacher.quality(accuracy, described["test_counts"]),
            *teacher.against_source(accuracy, recipe.published_accuracy, was_changed),
        ),
        sureness=teacher.sureness(accuracy),
        validation_accuracy=None
        if held_out is None
        else figure_row("accuracy", held_out["figures"]["accuracy"], title="Accuracy on validation images"),
    )


def _was_changed(recipe: Recipe, environment: Mapping[str, Any]) -> bool:
    """Whether the run departs from the shipped recipe of its name in what decides about its accuracy."""
    try:
        shipped = load_recipe(recipe.name)
    except TinysightError:
        return True
    apart = {"seed", "parameters", "name", "description", "source", "published_accuracy", "validation"}
    differs = any(value != getattr(shipped, name) for name, value in recipe if name not in apart)
    return differs or bool(environment.get("interrupted"))


def _failures(test: Mapping[str, Any], described: Mapping[str, Any], shelf: Shelf | None) -> Failures:
    names, matrix = test["class_names"], np.asarray(test["confusion"], np.int64)
    accuracy = figure_row("accuracy", test["figures"]["accuracy"])
    rows = class_rows(test, described["train_counts"])
    pairs = most_confused(matrix, NUM_PAIRS)
    shown = _classes_shown(matrix)
    pictures = {} if shelf is None else cell_pictures(shelf, matrix, shown)
    return Failures(
        sentences=tuple(filter(None, (teacher.weak_classes(rows, accuracy), teacher.confused(pairs, names)))),
        classes=rows,
        matrix_classes=tuple(names[index] for index in shown),
        matrix=cells(matrix, shown, set(pictures)),
        num_hidden=len(names) - len(shown),
        pairs=tuple(
            Pair(
                true=names[pair.true],
                predicted=names[pair.predicted],
                count=pair.count,
                share=percent(pair.share),
                key=cell_key(pair.true, pair.predicted),
                pictures=tuple(pictures.get(cell_key(pair.true, pair.predicted), ())[:NUM_PAIR_PICTURES]),
            )
            for pair in pairs
        ),
        mistakes=() if shelf is None else confident_mistakes(shelf),
        hits=() if shelf is None else unsure_hits(shelf),
        cell_pictures=pictures,
    )


def _classes_shown(matrix: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    if len(matrix) <= MAX_CLASSES:
        return list(range(len(matrix)))
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    return sorted(np.argsort(-wrong, kind="stable")[:MAX_CLASSES].tolist())


def _data(
    metrics: Mapping[str, Any],
    predictions: Mapping[str, Predictions],
    rows: Sequence[Row],
    trust: Trust | None,
    making: Making,
    analysis: Analysis,
    failures: Failures | None,
) -> dict[str, Any]:
    """The numbers behind every figure of the page, as JSON values, and the pictures behind the cells."""
    charts = [*making.charts, *(trust.charts if trust else ())]
    pictured = failures.cell_pictures if failures else {}
    return {
        "metrics": dict(metrics),
        # A training that died may have NaN in its last row, which JSON has not.
        "history": [{name: value if math.isfinite(value) else None for name, value in row.items()} for row in rows],
        "charts": {chart.key: chart.data for chart in charts},
        "trust": {} if trust is None else dict(trust.data),
        "analysis": dict(analysis.records),
        "galleries": {} if failures is None else {
            name: [_picture_data(picture) for picture in pictures]
            for name, pictures in (("mistakes", failures.mistakes), ("hits", failures.hits))
        },
        "cells": {
            key: [_picture_data(picture) | {"uri": picture.uri} for picture in pictures]
            for key, pictures in pictured.items()
        },
    }  # fmt: skip


def _picture_data(picture: Picture) -> dict[str, Any]:
    return {
        "index": picture.index,
        "true": picture.true,
        "predicted": picture.predicted,
        "score": round(picture.score, 4),
        "true_score": round(picture.true_score, 4),
    }
