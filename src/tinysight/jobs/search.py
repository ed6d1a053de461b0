"""A search for the best recipe: trials that are trained and scored on validation images alone, on Optuna's engine."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinysight.data.validation import TrainingSplit, split_for_training
from tinysight.errors import (
    InvalidValueError,
    RunError,
    TinysightError,
    TrainingInterruptedError,
    TrainingStoppedError,
)
from tinysight.files import read_json, write_json, write_text
from tinysight.images import DataSet
from tinysight.jobs.settings import Say
from tinysight.jobs.space import Dimension, parse_space, read_space
from tinysight.jobs.trial import TrialData, train_trial
from tinysight.recipe import Recipe, load_recipe, to_toml
from tinysight.runs import SearchFolder, create_run

STUDY = "tinysight"
# A trial that was running in a process that died is begun again when it has given no sign for so long, seconds.
SIGN_EVERY, GIVEN_UP_AFTER = 10, 60
# The first trials are drawn at random; then those that look promising.
NUM_RANDOM = 10
# Pruning compares with other trials at the same epoch: from the sixth trial on, after the first epoch.
NUM_UNPRUNED, EPOCHS_UNPRUNED = 5, 1
# When all of the first so many trials failed, the next ones will.
MAX_FAILED = 3
REASON = "reason"


@dataclass(frozen=True, kw_only=True, eq=False)
class Search:
    """What every trial shares.

    Attributes:
        folder: where everything lies.
        base: the recipe that trials change.
        space: what they change.
        data: the data set; only its training split, and its validation split where it has one, are looked at.
        split: how its training images are cut.
        say: takes lines for a person.
    """

    folder: SearchFolder
    base: Recipe
    space: tuple[Dimension, ...]
    data: DataSet
    split: TrainingSplit
    say: Say

    @property
    def num_validation(self) -> int:
        return len(self.split.validation or ())


def begin(
    recipe: Recipe,
    space: str | Path | None,
    data: DataSet,
    *,
    out: str | Path | None,
    data_dir: str | Path | None,
    say: Say,
) -> Search:
    """A new search in a new folder.

    Raises:
        InvalidValueError, UnknownNameError: when the space cannot be searched.
        RunError: when the folder exists.
    """
    text, dimensions = read_space(space, recipe)
    base = _for_search(recipe, say).replace(data=data.name, parameters=None, published_accuracy=None)
    split = split_for_training(base, data)
    folder = SearchFolder(create_run(out, f"tune-{recipe.name}").folder)
    write_text(folder.base, to_toml(base, f"What the trials of {folder.folder.resolve().name} change."))
    write_text(folder.space, text)
    described = {
        "data": data.name,
        "data_dir": None if data_dir is None else str(Path(data_dir).resolve()),
        "image_shape": list(data.image_shape),
        "num_train": split.num_train,
        "num_validation": len(split.validation or ()),
        "validation": split.validation_source,
        "train_counts": split.train_counts().tolist(),
    }
    write_json(folder.description, described)
    return Search(folder=folder, base=base, space=dimensions, data=data, split=split, say=say)


def _for_search(recipe: Recipe, say: Say) -> Recipe:
    if recipe.validation in ("stratified", "last"):
        return recipe
    why = "may not look at the test split" if recipe.validation == "test" else "needs images to compare trials on"
    say(f"validation=stratified instead of {recipe.validation}: a search {why}")
    return recipe.replace(validation="stratified")


def open_search(path: str | Path, data_dir: str | Path | None, say: Say) -> Search:
    """The search in a folder, to go on with; several processes may do so at once.

    Raises:
        RunError: when there is none, or the data are no longer the same.
        DataError: when the data cannot be had.
    """
    from tinysight.data.source import load_of_recipe

    folder = SearchFolder(path)
    if not folder.description.is_file():
        raise RunError(f"no search at '{path}': expected the folder that `tinysight tune` printed")
    described, base = read_json(folder.description), load_recipe(str(folder.base))
    data = load_of_recipe(base, data_dir or described["data_dir"])
    split = split_for_training(base, data)
    if described["train_counts"] != split.train_counts().tolist():
        raise RunError(f"the data set {data.name} is not the one that the search '{path}' began with")
    space = parse_space(folder.space.read_text(encoding="utf-8"), f"space file {folder.space}")
    return Search(folder=folder, base=base, space=space, data=data, split=split, say=say)


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna says what we say better, and calls what we use experimental."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def open_study(folder: SearchFolder) -> Any:
    """Optuna's study in the folder, made where there is none yet."""
    import optuna
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

    with quiet_optuna():
        storage = RDBStorage(
            f"sqlite:///{folder.study.resolve().as_posix()}",
            # Several processes write into one file, each for milliseconds.
            engine_kwargs={"connect_args": {"timeout": 60}},
            heartbeat_interval=SIGN_EVERY,
            grace_period=GIVEN_UP_AFTER,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=3),
        )
        return optuna.create_study(
            storage=storage,
            study_name=STUDY,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=NUM_UNPRUNED, n_warmup_steps=EPOCHS_UNPRUNED + 1),
        )


def run_trials(search: Search, num_trials: int) -> Any:
    """Trains trials until the study has `num_trials` that came to an end, those of other processes counted.

    Returns:
        Optuna's study.

    Raises:
        TrainingStoppedError: when the first trials all failed.
        KeyboardInterrupt: at Ctrl-C; what was finished stays, the trial that was running is begun again later.
    """
    from tinysight.training.retracing import without_retracing_warnings

    study = open_study(search.folder)
    with quiet_optuna(), without_retracing_warnings():
        while len(finished(study)) < num_trials:
            study.sampler = sampler_for(study, search.base.seed)
            study.optimize(lambda trial: _objective(trial, search), n_trials=1, catch=(TinysightError,))
            tell_outcome(search, study, _number_of_last(study))
            write_best(search, study)
    return study


def sampler_for(study: Any, seed: int) -> Any:
    """Draws depend on seed, trials so far and, where others draw at the same time, on the process: a search that goes
    on draws nothing twice."""
    import optuna

    trials = study.get_trials(deepcopy=False)
    running = any(trial.state == optuna.trial.TrialState.RUNNING for trial in trials)
    entropy = [seed, len(trials), *([os.getpid()] if running else [])]
    drawn = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=drawn, n_startup_trials=NUM_RANDOM)


def finished(study: Any) -> list[Any]:
    """Trials that came to an end: whole, pruned, or failed for a reason of their own."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED") or (trial.state.name == "FAIL" and REASON in trial.user_attrs)
    ]


def recipe_of_trial(base: Recipe, space: tuple[Dimension, ...], params: dict[str, Any]) -> Recipe:
    """The recipe that a trial trained.

    Raises:
        InvalidValueError: when its values do not go together.
    """
    fields = {dimension.name: dimension for dimension in space}
    return base.replace(**{name: fields[name].decode(value) for name, value in params.items()})


def _objective(trial: Any, search: Search) -> float:
    for dimension in search.space:
        dimension.suggest(trial)
    try:
        return _train(trial, search)
    except (KeyboardInterrupt, TrainingInterruptedError):
        trial.study.enqueue_trial(trial.params)
        raise KeyboardInterrupt from None
    except TinysightError as error:
        trial.set_user_attr(REASON, str(error))
        raise


def _train(trial: Any, search: Search) -> float:
    from tinysight.training.pruning import Pruning

    recipe = recipe_of_trial(search.base, search.space, trial.params)
    data = TrialData(train=search.split.images, validation=search.split.validation, rows=search.split.train_indices)
    pruning = Pruning(trial, recipe.metric)
    outcome = train_trial(recipe, data, history_path=search.folder.history(trial.number), callbacks=[pruning])
    trial.set_user_attr("parameters", outcome.num_parameters)
    trial.set_user_attr("seconds", outcome.seconds)
    return outcome.accuracy


def _number_of_last(study: Any) -> int:
    """Of the trial that this process ended."""
    trials = study.get_trials(deepcopy=False)
    return int(max(trials, key=lambda trial: trial.datetime_complete or trial.datetime_start).number)


def tell_outcome(search: Search, study: Any, number: int) -> None:
    """A line about a trial that ended, and an end where nothing works.

    Raises:
        TrainingStoppedError: when the first trials all failed.
    """
    trial = study.get_trials(deepcopy=False)[number]
    values = ", ".join(f"{name} {_short(value)}" for name, value in trial.params.items())
    if trial.state.name == "FAIL":
        search.say(f"trial {trial.number}: failed, {trial.user_attrs.get(REASON, '')}  ({values})")
        done = finished(study)
        if len(done) >= MAX_FAILED and all(other.state.name == "FAIL" for other in done):
            raise TrainingStoppedError(f"the first {len(done)} trials all failed: {trial.user_attrs.get(REASON, '')}")
        return
    if trial.state.name == "PRUNED":
        last = max(trial.intermediate_values)
        outcome = f"pruned after epoch {last} at {trial.intermediate_values[last]:.2%}"
    else:
        outcome = f"{trial.value:.2%} of {search.num_validation:,} validation images"
    search.say(f"trial {trial.number}: {outcome}  ({values})")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def best_trial(study: Any) -> Any | None:
    """The whole trial with the highest validation accuracy; of equals, the first; None where there is none."""
    whole = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    return max(whole, key=lambda trial: (trial.value, -trial.number), default=None)


def write_best(search: Search, study: Any) -> Recipe | None:
    """Writes the best recipe so far as a file to train from."""
    best = best_trial(study)
    if best is None:
        return None
    recipe = recipe_of_trial(search.base, search.space, best.params).replace(
        name=f"{search.base.name}-tuned", parameters=best.user_attrs["parameters"]
    )
    path = search.folder.best
    header = (
        f"The best of {len(finished(study))} trials, number {best.number}.\n"
        f"command:   tinysight train {path}\n"
        f"accuracy:  {best.value:.2%} of {search.num_validation:,} validation images, by which it was chosen"
    )
    write_text(path, to_toml(recipe, header))
    return recipe


def check_count(num_trials: int) -> None:
    if num_trials < 1:
        raise InvalidValueError(f"{num_trials} trials; expected 1 or more")


def check_optuna() -> None:
    """Optuna is an extra.

    Raises:
        InvalidValueError: when it is not installed.
    """
    import importlib.util

    if importlib.util.find_spec("optuna") is None:
        raise InvalidValueError("tinysight tune needs the package optuna: pip install 'tinysight[tune]'")
