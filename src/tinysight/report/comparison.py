"""Runs side by side as plain, frozen records: figures, differing recipe fields, and whether differences are chance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinysight.errors import DataError, InvalidValueError, RunError
from tinysight.evaluation.predictions import Predictions, read_predictions
from tinysight.files import read_json
from tinysight.metrics.calibration import reliability
from tinysight.metrics.comparison import Comparison, SeedComparison, compare_predictions, compare_seeds
from tinysight.metrics.seeds import Spread, over_seeds
from tinysight.recipe import Recipe, load_recipe
from tinysight.report.figures import FigureRow, figure_row
from tinysight.report.words import GAP, MISSING, count, duration, listed
from tinysight.runs import Run

# Up to so many runs every pair is tested; beyond that, each against the first.
MAX_ALL_PAIRS = 4
SHOWN = ("accuracy", "macro_f1", "log_loss", "brier_score")
# What two recipes of one training over several seeds may differ in.
PER_SEED = frozenset({"seed"})
# Words of a recipe, not settings.
WORDS = frozenset({"description", "source", "published_accuracy"})


@dataclass(frozen=True, kw_only=True)
class Column:
    """One run.

    Attributes:
        name: its folder's name, or its path where names are the same.
        folder: its path.
        recipe: as used.
        figures: name -> figure, those in `SHOWN` and the calibration error.
        recalls: per class, in label order.
        facts: (name, value) about parameters, epochs and time.
        validated_on_test: whether it was validated on the test split.
    """

    name: str
    folder: str
    recipe: Recipe
    figures: Mapping[str, FigureRow]
    recalls: tuple[FigureRow, ...]
    facts: tuple[tuple[str, str], ...]
    validated_on_test: bool


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Two runs on the same images."""

    first: str
    second: str
    result: Comparison

    @property
    def counts(self) -> str:
        """What the test rests on, in words."""
        test = self.result.test
        return (
            f"Only {self.first} has {test.only_first:,} images right, only {self.second} {test.only_second:,}."
            f" They call {100 * self.result.agreement:.1f}{GAP}% of all images the same."
        )


@dataclass(frozen=True, kw_only=True)
class SeedGroup:
    """Runs that differ in their seed alone, one a seed."""

    names: tuple[str, ...]
    spread: Spread

    @property
    def words(self) -> str:
        """Mean and spread, with the interval of the mean."""
        mean, std = self.spread.mean, self.spread.std or 0.0
        value, low, high = (100 * (number or 0.0) for number in (mean.value, mean.low, mean.high))
        return (
            f"{listed(self.names)}: mean accuracy {value:.2f}{GAP}%, standard deviation {100 * std:.2f} points;"
            f" 95{GAP}% interval of the mean over seeds {low:.2f} to {high:.2f}."
        )


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """What `tinysight compare` shows.

    Attributes:
        data: the data set.
        class_names: its classes.
        columns: the runs.
        differing: (field, value of each run), of the recipe.
        surroundings: the same for data, machine and versions.
        tests: pairs of runs.
        groups: runs of the same recipe over seeds; only groups of two and more seeds.
        seed_tests: (words that name both, result) for each pair of groups.
        notices: what to keep in mind.
    """

    data: str
    class_names: tuple[str, ...]
    columns: tuple[Column, ...]
    differing: tuple[tuple[str, tuple[str, ...]], ...]
    surroundings: tuple[tuple[str, tuple[str, ...]], ...]
    tests: tuple[Tested, ...]
    groups: tuple[SeedGroup, ...]
    seed_tests: tuple[SeedComparison, ...]
    notices: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "data": self.data,
            "runs": [_column_dict(column) for column in self.columns],
            "differing": {name: list(values) for name, values in self.differing},
            "surroundings": {name: list(values) for name, values in self.surroundings},
            "comparisons": [
                {"first": test.first, "second": test.second, **test.result.to_dict()} for test in self.tests
            ],
            "seeds": [{"runs": list(group.names), **group.spread.to_dict()} for group in self.groups],
            "seed_comparisons": [test.to_dict() for test in self.seed_tests],
            "notices": list(self.notices),
        }


def _column_dict(column: Column) -> dict[str, Any]:
    figures = {
        name: {"value": row.value, "interval": None if row.low is None else [row.low, row.high], "n": row.n}
        for name, row in column.figures.items()
    }
    return {
        "name": column.name,
        "run": column.folder,
        "recipe": column.recipe.name,
        "seed": column.recipe.seed,
        "figures": figures,
        "validated_on_test": column.validated_on_test,
    }


def side_by_side(runs: Sequence[Run]) -> SideBySide:
    """Compares finished runs on the same test images.

    Args:
        runs: two or more.

    Raises:
        InvalidValueError: when there are fewer than two, or one is named twice.
        RunError: when one has no predictions.
        DataError: when they were tested on different images.
    """
    if len(runs) < 2:
        raise InvalidValueError(f"{len(runs)} run to compare; expected two or more")
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise InvalidValueError("a run is named twice; expected different runs")
    described = [read_json(run.data) for run in runs]
    predictions = [_test_predictions(run) for run in runs]
    for run, data, found in zip(runs[1:], described[1:], predictions[1:], strict=True):
        _check_same_images((runs[0], described[0], predictions[0]), (run, data, found))
    names = _names(runs)
    columns = tuple(map(_column, runs, names, described, predictions))
    groups = _seed_groups(columns)
    return SideBySide(
        data=described[0]["name"],
        class_names=tuple(described[0]["class_names"]),
        columns=columns,
        differing=_differing(columns),
        surroundings=_surroundings(runs, described),
        tests=_tests(columns, predictions),
        groups=tuple(group for group in groups if len(group.names) > 1),
        seed_tests=_seed_tests(groups),
        notices=_notices(columns),
    )


def _test_predictions(run: Run) -> Predictions:
    if not run.predictions.is_file():
        raise RunError(f"the run '{run.folder}' has no {run.predictions.name}: it did not finish; train it again")
    return read_predictions(run.predictions)["test"]


Subject = tuple[Run, Mapping[str, Any], Predictions]


def _check_same_images(first: Subject, other: Subject) -> None:
    (run, data, found), (other_run, other_data, other_found) = first, other
    start = f"'{run.folder}' and '{other_run.folder}' cannot be compared"
    if data["class_names"] != other_data["class_names"]:
        raise DataError(f"{start}: they have different classes ({data['name']} and {other_data['name']})")
    if len(found.labels) != len(other_found.labels):
        raise DataError(
            f"{start}: they were tested on {len(found.labels):,} and {len(other_found.labels):,} images; only the same"
            " test images can be compared"
        )
    if not np.array_equal(found.labels, other_found.labels) or _cut(data) != _cut(other_data):
        raise DataError(
            f"{start}: they were tested on different images ({data['name']} and {other_data['name']}); only the"
            " same test images can be compared: train both on the same data, own images with the same `test_seed`"
        )


def _cut(data: Mapping[str, Any]) -> Any:
    """What decides which images of a person's own are test images; other data sets have their name."""
    own = data.get("own")
    if own is None:
        return data["name"]
    if own["test_source"] != "cut":
        return own["settings"]["name_or_path"]
    return [own["settings"].get(name) for name in ("name_or_path", "test_fraction", "seed", "group_by")]


def _names(runs: Sequence[Run]) -> list[str]:
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.folder) for run in runs]


def _column(run: Run, name: str, described: Mapping[str, Any], predictions: Predictions) -> Column:
    metrics, environment = read_json(run.metrics)["test"], read_json(run.environment)
    recipe = load_recipe(str(run.recipe))
    figures = {key: figure_row(key, metrics["figures"][key]) for key in SHOWN}
    error = reliability(predictions.probabilities, predictions.labels, seed=recipe.seed).expected_error
    figures["expected_calibration_error"] = figure_row("expected_calibration_error", error.to_dict())
    summary = read_json(run.finished_marker) if run.is_finished else {}
    facts = (
        ("recipe", recipe.name),
        ("parameters", count(summary.get("parameters"))),
        ("epochs", str(environment.get("epochs_completed", MISSING))),
        ("training time", duration(environment.get("seconds"))),
        ("machine", "; ".join(environment["devices"])),
    )
    return Column(
        name=name,
        folder=str(run.folder),
        recipe=recipe,
        figures=figures,
        recalls=tuple(figure_row("recall", scores["recall"], title=scores["name"]) for scores in metrics["classes"]),
        facts=facts,
        validated_on_test=described["validation"] == "test",
    )


def _differing(columns: Sequence[Column]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for name in Recipe.model_fields:
        values = [getattr(column.recipe, name) for column in columns]
        if name not in WORDS and any(value != values[0] for value in values):
            found.append((name, tuple(_text(value) for value in values)))
    return tuple(found)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _surroundings(
    runs: Sequence[Run], described: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    environments = [read_json(run.environment) for run in runs]
    rows = {
        "training images": [f"{data['num_train']:,}" for data in described],
        "backend": [environment["backend"] for environment in environments],
        "machine": ["; ".join(environment["devices"]) for environment in environments],
        "python": [environment["python"] for environment in environments],
    }
    packages = sorted({package for environment in environments for package in environment["versions"]})
    rows |= {name: [environment["versions"].get(name, MISSING) for environment in environments] for name in packages}
    return tuple((name, tuple(values)) for name, values in rows.items() if len(set(values)) > 1)


def _tests(columns: Sequence[Column], predictions: Sequence[Predictions]) -> tuple[Tested, ...]:
    pairs = list(itertools.combinations(range(len(columns)), 2))
    if len(columns) > MAX_ALL_PAIRS:
        pairs = [pair for pair in pairs if pair[0] == 0]
    tests = []
    for one, two in pairs:
        names = (columns[one].name, columns[two].name)
        called = (f"run {names[0]}", f"run {names[1]}")
        sides = [(predictions[side].probabilities, predictions[side].labels) for side in (one, two)]
        result = compare_predictions(sides[0], sides[1], names=called)
        tests.append(Tested(first=names[0], second=names[1], result=result))
    return tuple(tests)


def _by_recipe(columns: Sequence[Column]) -> list[list[Column]]:
    """Runs by their recipe without its seed, in the order in which they come."""
    groups: dict[str, list[Column]] = {}
    for column in columns:
        key = str({name: value for name, value in column.recipe if name not in PER_SEED})
        groups.setdefault(key, []).append(column)
    return list(groups.values())


def _seed_groups(columns: Sequence[Column]) -> list[SeedGroup]:
    """Runs of one recipe over seeds, the first run of each seed."""
    return [
        SeedGroup(
            names=tuple(column.name for column in group),
            spread=over_seeds("accuracy", [column.figures["accuracy"].value or 0.0 for column in group]),
        )
        for group in (_first_of_each_seed(same) for same in _by_recipe(columns))
    ]


def _first_of_each_seed(group: Sequence[Column]) -> list[Column]:
    first: dict[int, Column] = {}
    for column in group:
        first.setdefault(column.recipe.seed, column)
    return list(first.values())


def _seed_tests(groups: Sequence[SeedGroup]) -> tuple[SeedComparison, ...]:
    large = [group for group in groups if len(group.names) > 1]
    return tuple(
        compare_seeds(
            one.spread.values, two.spread.values, names=(f"the recipe of {one.names[0]}", f"that of {two.names[0]}")
        )
        for one, two in itertools.combinations(large, 2)
    )


def _notices(columns: Sequence[Column]) -> tuple[str, ...]:
    notices = []
    tested = [column.name for column in columns if column.validated_on_test]
    if tested:
        verb = "was" if len(tested) == 1 else "were"
        notices.append(
            f"{listed(tested)} {verb} validated on the test split: figures of runs that were chosen by it look better"
            " than they are."
        )
    repeats = [
        column.name for group in _by_recipe(columns) for column in group if column not in _first_of_each_seed(group)
    ]
    if repeats:
        verb, repeat = ("repeats", "it does") if len(repeats) == 1 else ("repeat", "they do")
        notices.append(
            f"{listed(repeats)} {verb} the recipe and the seed of a run before: over seeds {repeat} not count."
        )
    if len(columns) > 2:
        notices.append("Of many comparisons, one in twenty looks like a difference by chance alone.")
    return tuple(notices)
