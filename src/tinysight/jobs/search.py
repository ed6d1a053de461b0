"""A search for the best recipe: trials that are trained and scored on validation images alone, on Optuna's engine."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinysight.data.validation import TrainingSplit, split_for_training
from tinysight.errors import (
    DiskFullError,
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
from tinysight.jobs.study import REASON, ask, begin_again, best_trial, finished, open_study, quiet_optuna, tell
from tinysight.jobs.trial import Outcome, TrialData, train_trial
from tinysight.recipe import Recipe, load_recipe, to_toml
from tinysight.runs import SearchFolder, create_run

# When all of the first so many trials failed, the next ones will.
MAX_FAILED = 3


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


def run_trials(search: Search, num_trials: int) -> Any:
    """Trains trials until the study has `num_trials` that came to an end, those of other processes counted.

    Returns:
        Optuna's study.

    Raises:
        TrainingStoppedError: when the first trials all failed.
        KeyboardInterrupt: at Ctrl-C; what was finished stays, the trial that was running is begun again later.
    """
    import optuna

    from tinysight.training.retracing import without_retracing_warnings

    study = open_study(search.folder)
    with quiet_optuna(), without_retracing_warnings():
        while len(finished(study)) < num_trials:
            optuna.storages.fail_stale_trials(study)
            _run_trial(search, study, ask(study, search.space, search.base.seed))
    return study


def recipe_of_trial(base: Recipe, space: tuple[Dimension, ...], params: dict[str, Any]) -> Recipe:
    """The recipe that a trial trained.

    Raises:
        InvalidValueError: when its values do not go together.
    """
    fields = {dimension.name: dimension for dimension in space}
    return base.replace(**{name: fields[name].decode(value) for name, value in params.items()})


def _run_trial(search: Search, study: Any, trial: Any) -> None:
    """Trains `trial` in this process, to its end."""
    import optuna
    from optuna.storages._heartbeat import get_heartbeat_thread

    try:
        with get_heartbeat_thread(trial._trial_id, study._storage):
            outcome = _train(search, trial)
    except (KeyboardInterrupt, TrainingInterruptedError):
        begin_again(study, trial)
        raise KeyboardInterrupt from None
    except DiskFullError:
        # Of the machine and not of the trial: with room on the disk it is drawn and trained again.
        with contextlib.suppress(Exception):
            # The study may lie on that disk; then others find the trial without a sign of life.
            begin_again(study, trial)
        raise
    except TinysightError as error:
        fail(search, study, trial, str(error))
    except (optuna.TrialPruned, optuna.exceptions.UpdateFinishedTrialError):
        end(search, study, trial, None)
    except Exception:
        tell(study, trial, "FAIL")
        raise
    else:
        end(search, study, trial, outcome)


def _train(search: Search, trial: Any) -> Outcome:
    from tinysight.training.pruning import Pruning

    recipe = recipe_of_trial(search.base, search.space, trial.params)
    data = TrialData(train=search.split.images, validation=search.split.validation, rows=search.split.train_indices)
    pruning = Pruning(trial, recipe.metric)
    return train_trial(recipe, data, history_path=search.folder.history(trial.number), callbacks=[pruning])


def end(search: Search, study: Any, trial: Any, outcome: Outcome | None) -> None:
    """Writes down what `trial` came to, None where it was pruned, and the best recipe so far.

    Raises:
        TrainingStoppedError: as `tell_outcome`.
    """
    if outcome is None:
        tell(study, trial, "PRUNED")
    else:
        about = {"parameters": outcome.num_parameters, "seconds": outcome.seconds}
        tell(study, trial, "COMPLETE", outcome.accuracy, about)
    tell_outcome(search, study, trial.number)
    write_best(search, study)


def fail(search: Search, study: Any, trial: Any, reason: str) -> None:
    """Writes down that `trial` failed for a reason of its own.

    Raises:
        TrainingStoppedError: as `tell_outcome`.
    """
    tell(study, trial, "FAIL", attributes={REASON: reason})
    tell_outcome(search, study, trial.number)


def tell_outcome(search: Search, study: Any, number: int) -> None:
    """A line about a trial that ended, and an end where nothing works.

    Raises:
        TrainingStoppedError: when the first trials all failed.
    """
    trial = study.get_trials(deepcopy=False)[number]
    values = ", ".join(f"{name} {_short(value)}" for name, value in trial.params.items())
    if trial.state.name == "FAIL":
        reason = trial.user_attrs.get(REASON)
        if reason is None:
            search.say(f"trial {trial.number}: given up by another process, which begins it again  ({values})")
            return
        search.say(f"trial {trial.number}: failed, {reason}  ({values})")
        done = finished(study)
        if len(done) >= MAX_FAILED and all(other.state.name == "FAIL" for other in done):
            raise TrainingStoppedError(f"the first {len(done)} trials all failed: {reason}")
        return
    if trial.state.name == "PRUNED":
        last = max(trial.intermediate_values)
        outcome = f"pruned after epoch {last} at {trial.intermediate_values[last]:.2%}"
    else:
        outcome = f"{trial.value:.2%} of {search.num_validation:,} validation images"
    search.say(f"trial {trial.number}: {outcome}  ({values})")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


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
