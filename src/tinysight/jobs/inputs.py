"""What is written into a run folder before its training begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysight.data.own import OwnData
from tinysight.data.validation import TrainingSplit, write_split
from tinysight.files import write_json, write_text
from tinysight.images import DataSet
from tinysight.recipe import Recipe, to_toml
from tinysight.runs import Run


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
