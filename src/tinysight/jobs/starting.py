"""A training that begins with the weights of another run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysight.data.catalog import CATALOG
from tinysight.data.validation import TrainingSplit
from tinysight.errors import DataError, InvalidValueError, RunError
from tinysight.files import digest, read_json
from tinysight.images import DataSet
from tinysight.recipe import Recipe, load_recipe
from tinysight.runs import Run, open_run


def recipe_of_start(path: str | Path, changes: dict[str, Any]) -> Recipe:
    """The recipe of the run at `path`, for data that may be others.

    Args:
        path: a finished run.
        changes: fields to change.

    Raises:
        RunError: when there is no finished run.
    """
    run = open_run(path)
    given = {"published_accuracy": None, "parameters": None, **_for_data(run, changes)}
    recipe = load_recipe(str(run.recipe))
    if recipe.schedule == "recorded" and "schedule" not in changes:
        # A schedule by the clock is a triangle whose steps fit those images only.
        given |= {"schedule": "triangular", "schedule_steps": (), "schedule_rates": (), "steps": None}
    return recipe.replace(**{**given, **changes})


def with_shape_of(path: str | Path, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, with the run's image size and channels for own images that name none."""
    return {**_for_data(open_run(path), changes), **changes}


def _for_data(run: Run, changes: dict[str, Any]) -> dict[str, Any]:
    described = read_json(run.data)
    if changes.get("data", described["name"]) in CATALOG:
        return {"image_size": (), "channels": None}
    height, width, channels = described["image_shape"]
    return {"image_size": (height, width), "channels": channels}


def check_start(path: str | Path, data: DataSet) -> None:
    """Whether the net of the run at `path` can look at images like these.

    Raises:
        RunError: when there is no finished run.
        DataError: when it takes images of another size.
    """
    wanted = tuple(read_json(open_run(path).data)["image_shape"])
    if data.image_shape != wanted:
        raise DataError(
            f"the run '{path}' was trained on images of {_words(wanted)}, {data.name} has {_words(data.image_shape)};"
            " expected the same, to which own images are brought where no image_size and channels are set"
        )


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}, {'grey' if shape[2] == 1 else 'colour'}"


def start(path: str | Path, net: Any, recipe: Recipe, data: DataSet, split: TrainingSplit) -> dict[str, Any]:
    """Puts the weights of the run at `path` into `net`.

    Returns:
        Where they are from, as the new run stores it: `run`, `recipe`, `data`, `digest` of its model file, and what was
        taken: `layers`, `new_layers`, `classes`.

    Raises:
        RunError, ModelError: when there is no finished run, or nothing in it fits.
        InvalidValueError: when the recipes scale pixels differently.
    """
    from tinysight.models.fast import WHITENING
    from tinysight.models.warm_start import take_over, trained_net
    from tinysight.training.fit import adapt_to

    run = open_run(path)
    described, its_recipe = read_json(run.data), load_recipe(str(run.recipe))
    if its_recipe.scaling != recipe.scaling:
        raise InvalidValueError(
            f"the run '{path}' scales pixels to {its_recipe.scaling}, the recipe to {recipe.scaling}:"
            f" expected the same, --set scaling={its_recipe.scaling}"
        )
    names = list(described["class_names"])
    trained = trained_net(run, its_recipe, data.image_shape, len(names))
    taken = take_over(net, trained, list(data.class_names), names)
    if WHITENING not in taken.layers:
        adapt_to(net, recipe, split.images, split.train_indices)
    return {
        "run": str(run.folder.resolve()),
        "recipe": its_recipe.name,
        "data": described["name"],
        "digest": digest(run.keras_model),
        "layers": list(taken.layers),
        "new_layers": list(taken.new_layers),
        "classes": list(taken.classes),
    }


def start_again(record: dict[str, Any], net: Any, recipe: Recipe, data: DataSet, split: TrainingSplit) -> None:
    """The same once more, for a training that stopped before its first checkpoint.

    Raises:
        RunError: when the run is gone or no longer the same.
    """
    run = Run(record["run"])
    if not run.keras_model.is_file() or digest(run.keras_model) != record["digest"]:
        raise RunError(f"the run '{run.folder}', whose weights this one began with, is gone or has changed since")
    start(run.folder, net, recipe, data, split)
