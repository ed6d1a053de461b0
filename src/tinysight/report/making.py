"""How a run was made and how it is used: recipe, data, machine, versions, time, commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tinysight.images import ImageSet
from tinysight.recipe import Recipe
from tinysight.report.charts import Chart, Series, make_chart
from tinysight.report.pictures import data_uri
from tinysight.report.words import GAP, MISSING, count, counted, duration, size
from tinysight.runs import Run
from tinysight.training.balance import balance_words
from tinysight.training.history import Row

NUM_PICTURES, MAX_PICTURES = 4, 240
VALIDATION_NAMES = {"train": "validation (held out)", "validation": "validation", "test": "test split"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field of the recipe."""

    name: str
    value: str
    is_changed: bool
    help: str


@dataclass(frozen=True, kw_only=True)
class DataRow:
    """One class of the data: how many images there are, and some of those that were trained on."""

    name: str
    num_train: str
    num_test: str
    pictures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Command:
    what: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Making:
    """How the run was made.

    Attributes:
        description, source: the recipe's.
        settings: every field of the recipe.
        facts: (name, value) about data, machine, versions and time.
        classes: the data, class by class.
        charts: accuracy, loss and learning rate over epochs; empty where no epoch was completed.
    """

    recipe: str
    description: str
    source: str
    settings: tuple[Setting, ...]
    facts: tuple[tuple[str, str], ...]
    classes: tuple[DataRow, ...]
    charts: tuple[Chart, ...]


def making_of(
    recipe: Recipe,
    data: Mapping[str, Any],
    environment: Mapping[str, Any],
    summary: Mapping[str, Any],
    rows: Sequence[Row],
    train: ImageSet | None,
) -> Making:
    """How the run was made; `train` is the data set's training split, or None where it is not at hand."""
    return Making(
        recipe=recipe.name,
        description=recipe.description,
        source=recipe.source,
        settings=_settings(recipe),
        facts=_facts(data, environment, summary, recipe),
        classes=_classes(data, train),
        charts=curve_charts(rows, recipe.metric, data["validation"], recipe) if rows else (),
    )


def _settings(recipe: Recipe) -> tuple[Setting, ...]:
    changed, fields = recipe.changed(), type(recipe).model_fields
    return tuple(
        Setting(name=name, value=_text(value), is_changed=name in changed, help=fields[name].description or "")
        for name, value in recipe
        if name not in ("name", "description", "source")
    )


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value).lower() if isinstance(value, bool) else str(value)


def _facts(
    data: Mapping[str, Any], environment: Mapping[str, Any], summary: Mapping[str, Any], recipe: Recipe
) -> tuple[tuple[str, str], ...]:
    height, width, channels = data["image_shape"]
    images = [f"{data['num_train']:,} trained on", f"{data['num_test']:,} to test"]
    if data["num_validation"] and data["validation"] != "test":
        images.insert(1, f"{data['num_validation']:,} to validate")
    facts = {
        "data": data["name"],
        "from": data["origin"],
        "images": ", ".join(images),
        "shape": f"{height} x {width}, {'grey' if channels == 1 else 'colour'}",
        "classes": balance_words(recipe, data["class_names"], data["train_counts"]),
        "parameters": count(summary.get("parameters")),
        "epochs": _epochs(environment, recipe),
        "seed": str(environment["seed"]),
        "training time": duration(environment.get("seconds")),
        "started from": started_from(environment["started_from"]) if environment.get("started_from") else "",
        "started": _time_words(environment["started"]),
        "resumed": ", ".join(environment.get("resumed", [])),
        "machine": "; ".join(environment["devices"]),
        "largest memory": size(environment.get("peak_memory_bytes")),
        "system": f"{environment['platform']}, Python {environment['python']}",
        "versions": ", ".join(f"{name} {version}" for name, version in environment["versions"].items()),
        "backend": environment["backend"],
        "command": " ".join(map(quoted, environment["command"])),
    }
    told_if_any = ("classes", "started from", "resumed")
    return tuple((name, text) for name, text in facts.items() if text or name not in told_if_any)


def _epochs(environment: Mapping[str, Any], recipe: Recipe) -> str:
    done = environment.get("epochs_completed")
    text = f"{MISSING if done is None else done} of {recipe.epochs}"
    kept = environment.get("epoch_kept", done)
    return text if kept == done else f"{text}; the model is that of epoch {kept}, the best by its validation images"


def started_from(record: Mapping[str, Any]) -> str:
    """Where the first weights of a run are from, in a line."""
    layers, new = len(record["layers"]), len(record["new_layers"])
    text = (
        f"{record['run']} ({record['recipe']} on {record['data']}, model sha256 {record['digest'][:12]}):"
        f" {layers} of {layers + new} layers taken over"
    )
    if record["classes"]:
        text += f", and in the last layer {counted(len(record['classes']), 'class', 'classes')} of the same name"
    return text


def _time_words(stamp: str) -> str:
    """An ISO time as people write it: "2026-11-22 05:21 UTC"."""
    return datetime.fromisoformat(stamp).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _classes(data: Mapping[str, Any], train: ImageSet | None) -> tuple[DataRow, ...]:
    num_each = min(NUM_PICTURES, MAX_PICTURES // max(len(data["class_names"]), 1))
    return tuple(
        DataRow(name=name, num_train=count(trained), num_test=count(tested), pictures=_pictures(train, index, num_each))
        for index, (name, trained, tested) in enumerate(
            zip(data["class_names"], data["train_counts"], data["test_counts"], strict=True)
        )
    )


def _pictures(train: ImageSet | None, label: int, num_pictures: int) -> tuple[str, ...]:
    if train is None:
        return ()
    first = np.flatnonzero(train.labels == label)[:num_pictures]
    return tuple(data_uri(np.asarray(train.images[index])) for index in first)


def curve_charts(rows: Sequence[Row], metric: str, validation: str, recipe: Recipe | None = None) -> tuple[Chart, ...]:
    """Accuracy, loss and learning rate over epochs; what evens out classes in training is in the names of its lines."""
    drawn = "training, classes drawn alike" if recipe and recipe.sampling == "balanced" else "training"
    weighted = "training, weighted by class" if recipe and recipe.class_weights == "balanced" else drawn
    name = VALIDATION_NAMES.get(validation, "validation")
    accuracy = make_chart(
        "curve-accuracy", "Accuracy over epochs", _ends(rows, metric, name, drawn, as_percent=True),
        _pair(rows, metric, name, drawn), x_label="epoch", y_label="accuracy", whole_x=True,
        y_format=lambda value: f"{100 * value:.4g}{GAP}%",
    )  # fmt: skip
    loss = make_chart(
        "curve-loss", "Loss over epochs", _ends(rows, "loss", name, weighted, as_percent=False),
        _pair(rows, "loss", name, weighted), x_label="epoch", y_label="loss", whole_x=True,
    )  # fmt: skip
    epochs, rates = _column(rows, "learning_rate")
    rate = make_chart(
        "curve-learning-rate", "Learning rate",
        f"At the start of each epoch: {rates[0]:.3g} in the first, {rates[-1]:.3g} in the last." if rates else "",
        [Series(name="learning rate", xs=epochs, ys=rates)], x_label="epoch", y_label="learning rate", whole_x=True,
        y_range=(0.0, 1.08 * max(rates, default=1.0) or 1.0),
    )  # fmt: skip
    return accuracy, loss, rate


def _column(rows: Sequence[Row], name: str) -> tuple[list[float], list[float]]:
    present = [row for row in rows if name in row]
    return [row["epoch"] for row in present], [row[name] for row in present]


def _pair(rows: Sequence[Row], name: str, validation: str, training: str) -> list[Series]:
    epochs, values = _column(rows, name)
    series = [Series(name=training, xs=epochs, ys=values)]
    epochs, values = _column(rows, f"val_{name}")
    return [*series, Series(name=validation, xs=epochs, ys=values, kind="second")] if epochs else series


def _ends(rows: Sequence[Row], name: str, validation: str, training: str, *, as_percent: bool) -> str:
    def write(value: float) -> str:
        return f"{100 * value:.1f}{GAP}%" if as_percent else f"{value:.3f}"

    parts = []
    for words, column in ((training, name), (validation, f"val_{name}")):
        epochs, values = _column(rows, column)
        if values:
            parts.append(f"{words} from {write(values[0])} to {write(values[-1])} in epoch {epochs[-1]:.0f}")
    return ("; ".join(parts) + ".").capitalize() if parts else ""


def commands_of(run: Run, data: Mapping[str, Any]) -> tuple[Command, ...]:
    """What one does with the run next, ready to paste."""
    folder, name = quoted(str(run.folder)), data["name"]
    lines = [
        ("Classify images of your own", f"tinysight predict {folder} photo.png"),
        ("See where the net looks in them", f"tinysight explain {folder} photo.png"),
        ("Measure again, each test image once", f"tinysight evaluate {folder}"),
        ("Measure robustness, labels and doubles, and write this page anew", f"tinysight report {folder}"),
        ("Serve it over HTTP", f"tinysight serve {folder}"),
        ("Write it for other programs", f"tinysight export {folder} --format onnx"),
        ("Train the same again", f"tinysight train {quoted(str(run.recipe))} --data {quoted(name)}"),
        ("Set it beside another run", f"tinysight compare {folder} OTHER-RUN"),
        (
            "From Python",
            "import tinysight\n"
            f"model = tinysight.load({str(run.folder)!r})\n"
            "probabilities = model.predict(images)  # uint8, (n, height, width, channels)",
        ),
    ]
    if data["validation"] in ("train", "validation"):
        lines.insert(4, ("Make the scores honest inside the saved model", f"tinysight calibrate {folder}"))
    return tuple(Command(what=what, text=text) for what, text in lines)


def quoted(word: str) -> str:
    """A word as a shell takes it: in double quotes where it has spaces on Windows, as shlex has it elsewhere."""
    if "\\" in word:
        return f'"{word}"' if " " in word else word
    return shlex.quote(word)
