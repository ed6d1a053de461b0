"""Searches for the best values of a recipe's fields, on validation images alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinysight.cluster.engine import Cluster
from tinysight.data.source import load_of_recipe
from tinysight.files import read_json, write_text
from tinysight.jobs import search as job
from tinysight.jobs import study as studies
from tinysight.jobs.search import Search
from tinysight.jobs.settings import Say
from tinysight.jobs.space import Dimension, read_space
from tinysight.recipe import Recipe
from tinysight.report.render import render
from tinysight.report.search import SearchedField, SearchPage, Trial, search_page, trial_rows, value_text

# With fewer whole trials the trees that importances come from have nothing to split.
NUM_FOR_IMPORTANCE = 8
_STATES = {"COMPLETE": "whole", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search came to.

    Attributes:
        search: the search.
        page: what its page shows.
        interrupted: whether Ctrl-C ended it early.
    """

    search: Search
    page: SearchPage
    interrupted: bool

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        folder, best = self.search.folder, self.page.best
        states = [trial.state for trial in self.page.trials]
        return {
            "folder": str(folder.folder),
            "recipe": self.search.base.name,
            "data": self.page.data,
            "interrupted": self.interrupted,
            "num_trials": len(states),
            "num_whole": states.count("whole"),
            "num_pruned": states.count("pruned"),
            "num_failed": states.count("failed"),
            "num_validation": self.page.num_validation,
            "best_trial": None if best is None else best.number,
            "best_validation_accuracy": None if best is None else best.accuracy,
            "best_values": None if best is None else dict(best.values),
            "importances": {field.name: field.importance for field in self.page.fields},
            "best_recipe": str(folder.best) if best else None,
            "report": str(folder.report),
        }


def tune(
    recipe: Recipe | None,
    *,
    num_trials: int,
    space: str | Path | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Cluster | None = None,
    say: Say = lambda text: None,
) -> Tuned:
    """Trains trials until there are `num_trials`, and writes the best recipe and a page about all of them.

    Args:
        recipe: what trials change; None to go on with a search.
        num_trials: in all, those of an earlier call and of other processes counted.
        space: TOML file of fields with ranges or choices; None for that of model=fast.
        out: the search's folder; None for a new one under `runs/`.
        resume: the folder of a search to go on with, or None.
        data_dir: where extracted archives lie.
        device: "auto", "cpu", "gpu" or "gpu:N".
        cluster: whose workers train the trials, or None for this process.
        say: takes lines for a person.

    Returns:
        The search with its best trial, and whether it was interrupted.

    Raises:
        TinysightError: for whatever a person can mend; see `tinysight.errors`.
    """
    job.check_count(num_trials)
    job.check_optuna()
    if resume is not None:
        search = job.open_search(resume, data_dir, say)
    else:
        assert recipe is not None
        # A wrong space is told before data are loaded.
        read_space(space, recipe)
        search = job.begin(recipe, space, load_of_recipe(recipe, data_dir), out=out, data_dir=data_dir, say=say)
    interrupted = False
    try:
        study = _run(search, num_trials, device, cluster)
    except KeyboardInterrupt:
        interrupted = True
        study = studies.open_study(search.folder)
        say(f"interrupted: `tinysight tune --resume {search.folder.folder} --trials {num_trials}` goes on")
    # Once more: another process may have written an older one last.
    job.write_best(search, study)
    page = page_of(search, study)
    _write_page(search, page)
    return Tuned(search=search, page=page, interrupted=interrupted)


def _run(search: Search, num_trials: int, device: str, cluster: Cluster | None) -> Any:
    if cluster is not None:
        from tinysight.jobs.search_workers import run_trials_on

        return run_trials_on(cluster, search, num_trials)
    from tinysight.training.backend import choose_backend

    choose_backend(device)
    return job.run_trials(search, num_trials)


def page_of(search: Search, study: Any) -> SearchPage:
    """The records of a search's page, from Optuna's study."""
    trials = [_trial(trial, search) for trial in studies.finished(study)]
    best = studies.best_trial(study)
    found = search.base if best is None else job.recipe_of_trial(search.base, search.space, best.params)
    importances = _importances(study)
    fields = [_field(dimension, search.base, found, importances.get(dimension.name)) for dimension in search.space]
    folder = search.folder
    return search_page(
        name=folder.folder.resolve().name,
        folder=str(folder.folder),
        best_file=str(folder.best),
        recipe=search.base.name,
        described=read_json(folder.description),
        trials=trials,
        fields=fields,
    )


def _trial(trial: Any, search: Search) -> Trial:
    state = _STATES[trial.state.name]
    values = {d.name: d.decode(trial.params[d.name]) for d in search.space if d.name in trial.params}
    epochs = max(trial.intermediate_values, default=0)
    accuracy = trial.value if state == "whole" else trial.intermediate_values.get(epochs)
    return Trial(
        number=trial.number,
        state=state,
        accuracy=None if state == "failed" else accuracy,
        epochs=epochs,
        seconds=trial.user_attrs.get("seconds"),
        values=values,
        reason=trial.user_attrs.get(studies.REASON, ""),
    )


def _field(dimension: Dimension, base: Recipe, best: Recipe, importance: float | None) -> SearchedField:
    if dimension.choices:
        searched = " or ".join(value_text(choice) for choice in dimension.choices)
    else:
        searched = f"{dimension.low:g} to {dimension.high:g}"
        searched += ", by orders of magnitude" if dimension.log else ""
        searched += f", in steps of {dimension.step:g}" if dimension.step else ""
    return SearchedField(
        name=dimension.name,
        before=value_text(getattr(base, dimension.name)),
        best=value_text(getattr(best, dimension.name)),
        searched=searched,
        is_log=dimension.log,
        choices=tuple(value_text(choice) for choice in dimension.choices),
        importance=importance,
    )


def _importances(study: Any) -> dict[str, float]:
    import optuna

    whole = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(whole) < NUM_FOR_IMPORTANCE or len({trial.value for trial in whole}) < 2 or len(whole[0].params) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _write_page(search: Search, page: SearchPage) -> None:
    header = ["trial", "state", "accuracy", "epochs", "time", *(field.name for field in page.fields), "reason"]
    has_importances = any(field.importance is not None for field in page.fields)
    text = render(
        "search.html", data=page.json, page=page, header=header, rows=trial_rows(page), has_importances=has_importances
    )
    write_text(search.folder.report, text)
