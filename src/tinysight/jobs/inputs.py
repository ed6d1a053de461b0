"""What is written into a run folder before its training begins."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from tinysight.data.own import OwnData
from tinysight.data.validation import TrainingSplit, write_split
from tinysight.files import write_json, write_text
from tinysight.images import DataSet
from tinysight.recipe import Recipe, to_toml
from tinysight.runs import Run

# Kinds of what is left out that a person may want in; hidden and system files and their like are not told.
_TOLD = {
    "missing": "missing",
    "unreadable": "unreadable",
    "stray": "in no class folder",
    "link out": "behind links out of the folder",
    "link": "behind links within the folder",
}


def write_inputs(
    run: Run,
    recipe: Recipe,
    data: DataSet,
    split: TrainingSplit,
    environment: dict[str, Any],
    data_dir: str | Path | None,
) -> None:
    """Recipe, environment, split and data of `run`, as later verbs and `--resume` read them."""
    write_text(run.recipe, to_toml(recipe, header(run, "As used.")))
    write_json(run.environment, environment)
    write_split(run.splits, split)
    write_json(
        run.data,
        {
            "name": data.name,
            "origin": data.origin,
            "data_dir": None if data_dir is None else str(Path(data_dir).resolve()),
            "image_shape": list(data.image_shape),
            "class_names": list(data.class_names),
            "num_train": split.num_train,
            "num_validation": 0 if split.validation is None else len(split.validation),
            "num_test": len(data.test),
            "validation": split.validation_source,
            "train_counts": split.train_counts().tolist(),
            "test_counts": data.test.counts().tolist(),
            "own": data.to_record() if isinstance(data, OwnData) else None,
        },
    )


def header(run: Run, text: str) -> str:
    """The first lines of a run's recipe file."""
    return f"The recipe of {run.name}. {text}\ncommand:   tinysight train {run.recipe.name}"


def headline(recipe: Recipe, data: DataSet, split: TrainingSplit, num_parameters: int) -> str:
    """A training in one line for a person."""
    held_out = {
        "none": "no validation data",
        "test": "validated on the test split, as its tutorial does",
        "train": f"{len(split.validation or ()):,} held out for validation",
        "validation": f"{len(split.validation or ()):,} validation images",
    }[split.validation_source]
    length = f"{recipe.steps:,} steps of {recipe.batch_size} images" if recipe.steps else f"{recipe.epochs} epochs"
    return (
        f"{recipe.name} on {data.name}: {split.num_train:,} images, {held_out}; {num_parameters:,} parameters, {length}"
    )


def left_out_words(data: DataSet) -> str:
    """What of a person's own images is not trained on, in one line; empty where there is nothing to say."""
    if not isinstance(data, OwnData):
        return ""
    counts = Counter(item.kind for item in data.left_out)
    parts = [f"{counts[kind]:,} {words}" for kind, words in _TOLD.items() if counts[kind]]
    if data.lost_classes:
        shown, more = data.lost_classes[:10], len(data.lost_classes) - 10
        names = ", ".join(f"'{name}'" for name in shown) + (f" and {more:,} more" if more > 0 else "")
        parts.append(f"classes of which no image can be read: {names}")
    path = shlex.quote(str(data.settings["name_or_path"]))
    return f"left out: {', '.join(parts)}; `tinysight data check {path}` lists them" if parts else ""
