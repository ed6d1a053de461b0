"""The main job: data, net, training, evaluation and a run folder that every later verb reads."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysight.data.own import OwnData
from tinysight.data.validation import TrainingSplit, same_split, split_for_training, write_split
from tinysight.errors import RunError, TrainingInterruptedError, TrainingStoppedError
from tinysight.evaluation.predictions import Predictions, write_predictions
from tinysight.files import read_json, write_json, write_text
from tinysight.images import DataSet
from tinysight.recipe import Recipe, load_recipe, to_toml
from tinysight.runs import Run, create_run, open_run, read_summary, refuse_existing

if TYPE_CHECKING:
    from tinysight.training.budget import TimeBudget
    from tinysight.training.checkpoints import Checkpoint

DEFAULT_RECIPE = "tensorflow"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a training saves and prints beside its run.

    Attributes:
        quiet: whether to print no progress.
        save_json: whether to save the tutorials' own pair too, architecture JSON and weights HDF5.
        report: whether to write the report page too, as far as it is quick.
        checkpoint_minutes: time between checkpoints within an epoch.
        minutes: time to train for instead of the recipe's epochs; what fits into it is chosen.
        say: takes lines for a person.
    """

    quiet: bool = False
    save_json: bool = False
    report: bool = True
    checkpoint_minutes: float = 5.0
    minutes: float | None = None
    say: Say = lambda text: None


def train(
    recipe: Recipe,
    data: DataSet,
    *,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Trains, evaluates on the test split and saves.

    Args:
        recipe: how.
        data: what; `choose_data` finds it.
        out: the run folder; None for a new one under `runs/`.
        data_dir: where the data was found, for verbs that need it again.
        device: "auto", "cpu", "gpu" or "gpu:N".
        settings: what to save and print.

    Returns:
        The run's summary, as `--json` prints it.

    Raises:
        TinysightError: for whatever a person can mend; see `tinysight.errors`.
    """
    from tinysight.training.backend import choose_backend

    settings = settings or Settings()
    say = settings.say
    started = time.perf_counter()
    if out is not None:
        refuse_existing(out)
    choose_backend(device)
    from tinysight.training.augment import check_augmentation
    from tinysight.training.environment import describe_environment

    check_augmentation(recipe, data.image_shape)
    split = split_for_training(recipe, data)
    budget = None
    if settings.minutes is not None:
        recipe, budget = _fit_into(settings.minutes, started, recipe, split, say)
    net = _build(recipe, data)
    recipe = recipe.replace(data=data.name, parameters=net.count_params())
    run = create_run(out, recipe.name)
    environment = describe_environment(recipe.seed)
    _write_inputs(run, recipe, data, split, environment, data_dir)
    say(_headline(recipe, data, split, net.count_params()))
    return _fit_and_finish(run, recipe, data, split, net, environment, None, settings, budget)


def resume(
    path: str | Path, *, data_dir: str | Path | None = None, device: str = "auto", settings: Settings | None = None
) -> dict[str, Any]:
    """Goes on with a training that was interrupted, from its last whole checkpoint.

    The finished run is bit for bit the one that was never interrupted.

    Args:
        path: the run folder.
        data_dir: where extracted archives lie; None for where they lay when the training began.
        device: "auto", "cpu", "gpu" or "gpu:N".
        settings: what to save and print.

    Returns:
        The run's summary, as `--json` prints it.

    Raises:
        RunError: when there is nothing to go on with: no run, a finished one, or another data set than before.
    """
    from tinysight.data.source import load_again

    settings = settings or Settings()
    run = open_run(path, finished=False)
    if run.is_finished and not read_summary(run)["interrupted"]:
        raise RunError(f"the run '{path}' is finished; there is nothing to resume")
    recipe = load_recipe(str(run.recipe))
    described = read_json(run.data)
    data = load_again(described, data_dir)
    split = split_for_training(recipe, data)
    if not same_split(run.splits, split) or described["train_counts"] != split.train_counts().tolist():
        raise RunError(f"the data set {data.name} is not the one that the run '{path}' was trained on")
    from tinysight.training.backend import choose_backend

    choose_backend(device)
    from tinysight.training.checkpoints import read_newest

    checkpoint, damaged = read_newest(run.checkpoints)
    for found in damaged:
        settings.say(f"{found.name} is damaged; going on from the one before it")
    if checkpoint is None:
        settings.say("no checkpoint yet: starting from the beginning")
    else:
        settings.say(f"going on after epoch {checkpoint.epoch}, step {checkpoint.step}")
    run.finished_marker.unlink(missing_ok=True)
    return _fit_and_finish(
        run, recipe, data, split, _build(recipe, data), read_json(run.environment), checkpoint, settings
    )


def _build(recipe: Recipe, data: DataSet) -> Any:
    import keras

    from tinysight.models.registry import build_net

    keras.utils.set_random_seed(recipe.seed)
    return build_net(recipe, data.image_shape, len(data.class_names))


def _fit_and_finish(
    run: Run,
    recipe: Recipe,
    data: DataSet,
    split: TrainingSplit,
    net: Any,
    environment: dict[str, Any],
    checkpoint: Checkpoint | None,
    settings: Settings,
    budget: TimeBudget | None = None,
) -> dict[str, Any]:
    try:
        from tinysight.training.fit import fit

        result = fit(
            recipe,
            net,
            split.images,
            # Scoring it each epoch would take time from the budget; it is scored at the end.
            None if budget else split.validation,
            rows=split.train_indices,
            history_path=run.history,
            checkpoints=None if budget else run.checkpoints,
            checkpoint_minutes=settings.checkpoint_minutes,
            resume=checkpoint,
            budget=budget,
            quiet=settings.quiet,
        )
    except KeyboardInterrupt:
        raise TrainingInterruptedError("interrupted before the first epoch was whole: nothing was kept") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise TrainingStoppedError(f"the disk is full: {run.folder} holds what was written before") from None
        raise
    if budget is not None:
        recipe = budget.recorded(recipe)
        write_text(run.recipe, to_toml(recipe, _header(run, f"Chosen and recorded by --minutes {settings.minutes:g}.")))
    if result.interrupted:
        settings.say(f"interrupted: keeping epoch {result.epochs_completed} of {recipe.epochs}, the last whole one")
    environment |= {
        "seconds": result.seconds,
        "epochs_completed": result.epochs_completed,
        "interrupted": result.interrupted,
        "peak_memory_bytes": _peak_memory(),
    }
    write_json(run.environment, environment)
    summary = _finish(run, recipe, data, split, net, environment, settings)
    if settings.report:
        from tinysight.report.render import write_report

        write_report(run, quick=True, data=data)
        # The page is of a finished run; the marker is written anew, so that it stays the last file.
        run.finish(summary)
    return summary


def _finish(
    run: Run,
    recipe: Recipe,
    data: DataSet,
    split: TrainingSplit,
    net: Any,
    environment: dict[str, Any],
    settings: Settings,
) -> dict[str, Any]:
    from tinysight.evaluation.results import evaluate_splits
    from tinysight.models.saving import save_keras_file, save_pair
    from tinysight.models.serving import serving_model
    from tinysight.report.plots import write_plots

    model = serving_model(net, recipe.scaling, data.image_shape, flip_predictions=recipe.flip_predictions)
    save_keras_file(model, run.keras_model)
    if settings.save_json:
        save_pair(net, run.architecture_json, run.weights_h5)
    predict = _onnx_or_keras(run, recipe, data, model, settings.say)
    splits = {"test": data.test}
    if split.validation is not None and split.validation_source != "test":
        splits["validation"] = split.validation
    predictions, metrics = evaluate_splits(splits, predict, seed=recipe.seed)
    write_predictions(run.predictions, predictions)
    write_json(run.metrics, {name: summary.to_dict() for name, summary in metrics.items()})
    write_plots(run, data.test, predictions["test"], metrics["test"], metric=recipe.metric)
    test = metrics["test"].figures
    summary = {
        "run": str(run.folder),
        "recipe": recipe.name,
        "data": data.name,
        "parameters": net.count_params(),
        "epochs": environment["epochs_completed"],
        "interrupted": environment["interrupted"],
        "seconds": environment["seconds"],
        "test_accuracy": test["accuracy"].value,
        "test_accuracy_interval": [test["accuracy"].low, test["accuracy"].high],
        "test_loss": test["log_loss"].value,
        "num_test": len(data.test),
        "validation": split.validation_source,
        "seed": recipe.seed,
        "samples": _samples(predictions["test"], data.class_names),
    }
    run.finish(summary)
    return summary


def _samples(predictions: Predictions, class_names: tuple[str, ...], count: int = 3) -> list[dict[str, Any]]:
    """What the model says about the first test images."""
    return [
        {
            "image": index,
            "predicted": class_names[int(row.argmax())],
            "score": float(row.max()),
            "true": class_names[label],
        }
        for index, (row, label) in enumerate(
            zip(predictions.probabilities[:count], predictions.labels[:count], strict=True)
        )
    ]


def choose_data(recipe: Recipe, data_dir: str | Path | None, *, anything: bool = False, say: Say) -> DataSet:
    """The data that a recipe names, or what is at hand.

    Args:
        recipe: its field `data` is a name or a path.
        data_dir: where extracted archives lie.
        anything: whether neither recipe nor data were named: then CIFAR-10, or what comes inside a dependency.
        say: takes a line when that is not CIFAR-10.

    Raises:
        DataUnavailableError: when a named data set cannot be had. A substitute is taken only where nothing was named.
    """
    from tinysight.data import catalog
    from tinysight.data.source import load_of_recipe

    if anything:
        data, note = catalog.default_data(data_dir)
        if note:
            say(note)
        return data
    return load_of_recipe(recipe, data_dir)


def _write_inputs(
    run: Run,
    recipe: Recipe,
    data: DataSet,
    split: TrainingSplit,
    environment: dict[str, Any],
    data_dir: str | Path | None,
) -> None:
    write_text(run.recipe, to_toml(recipe, _header(run, "As used.")))
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


def _header(run: Run, text: str) -> str:
    return f"The recipe of {run.name}. {text}\ncommand:   tinysight train {run.recipe.name}"


def _fit_into(
    minutes: float, started: float, recipe: Recipe, split: TrainingSplit, say: Say
) -> tuple[Recipe, TimeBudget]:
    """The net that is best in that time on this machine, and the clock that trains it."""
    from tinysight.training.plan import CANDIDATES, make_budget, make_plan

    deadline = started + 60 * minutes
    plan = make_plan(recipe, split.images, split.train_indices, CANDIDATES, deadline)
    epochs = plan.num_images / split.num_train
    say(f"--minutes {minutes:g}: widths {'-'.join(map(str, plan.recipe.widths))} for about {epochs:.1f} epochs")
    return plan.recipe.replace(epochs=max(1, round(epochs))), make_budget(plan, deadline)


def _headline(recipe: Recipe, data: DataSet, split: TrainingSplit, num_parameters: int) -> str:
    held_out = {
        "none": "no validation data",
        "test": "validated on the test split, as its tutorial does",
        "train": f"{len(split.validation or ()):,} held out for validation",
        "validation": f"{len(split.validation or ()):,} validation images",
    }[split.validation_source]
    return (
        f"{recipe.name} on {data.name}: {split.num_train:,} images, {held_out}; {num_parameters:,} parameters,"
        f" {recipe.epochs} epochs"
    )


def _onnx_or_keras(run: Run, recipe: Recipe, data: DataSet, model: Any, say: Say) -> Callable[[Any], Any]:
    """A function from raw pixels to probabilities: the ONNX file's, checked against Keras; Keras's own without one."""
    import importlib.metadata

    import numpy as np

    from tinysight.errors import ModelError
    from tinysight.export.onnx import TOLERANCE, largest_difference, write_onnx
    from tinysight.serving.model_info import ModelInfo
    from tinysight.serving.predictor import Predictor

    def with_keras(images: Any) -> Any:
        return np.asarray(model.predict(images, batch_size=500, verbose=0), np.float32)

    info = ModelInfo(
        class_names=data.class_names,
        image_shape=data.image_shape,
        recipe=recipe.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=importlib.metadata.version("tinysight"),
        extra={"data": data.name, "parameters": int(model.count_params())},
    )
    try:
        write_onnx(model, run.onnx_model, info)
    except ModelError as error:
        say(f"{error}; predictions of this run need Keras")
        return with_keras
    predictor = Predictor(run.onnx_model)
    checked = data.test.images[:256]
    difference = largest_difference(with_keras(checked), predictor.predict(checked))
    if not difference <= TOLERANCE:
        run.onnx_model.unlink()
        raise ModelError(
            f"the ONNX file differs from Keras by {difference:.2g} in a probability; expected at most {TOLERANCE:g}"
        )
    return predictor.predict


def _peak_memory() -> int | None:
    """The largest resident size of this process so far, bytes; None where the platform does not tell."""
    import sys

    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
