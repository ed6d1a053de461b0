"""A search on a cluster: every worker trains one trial at a time, and this process alone writes the study."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinysight.cluster.engine import Cluster
from tinysight.cluster.group import WorkersDiedError, placed, raise_failure
from tinysight.cluster.worker import choose_backend
from tinysight.errors import TinysightError
from tinysight.jobs.search import (
    REASON,
    Search,
    finished,
    open_study,
    quiet_optuna,
    recipe_of_trial,
    sampler_for,
    tell_outcome,
    write_best,
)
from tinysight.jobs.trial import Outcome, TrialData, train_trial
from tinysight.recipe import Recipe
from tinysight.training.history import write_history

# How often workers are asked for news, seconds. A trial that is pruned goes on for so long.
NEWS_SECONDS = 0.5


class TrialWorker:
    """A process that trains trials, one after the other.

    Args:
        backend: Keras's; None for what fits the machine.
        kind: "cpu" or "gpu".
    """

    def __init__(self, backend: str | None, kind: str) -> None:
        self.backend, self.kind = backend, kind
        self.scores: list[tuple[int, float]] = []
        self.pruned = False

    def train(self, recipe: Recipe, data: TrialData) -> Outcome | None:
        """What the trial came to; None where it was ended early.

        Raises:
            TinysightError: as `train_trial`.
        """
        self.scores, self.pruned = [], False
        choose_backend(self.backend, "cpu" if self.kind == "cpu" else "auto")
        from tinysight.training.pruning import Ended, Following
        from tinysight.training.retracing import without_retracing_warnings

        following = Following(recipe.metric, self.scores, lambda: self.pruned)
        with tempfile.TemporaryDirectory(prefix="tinysight-") as scratch, without_retracing_warnings():
            try:
                return train_trial(recipe, data, history_path=Path(scratch) / "history.csv", callbacks=[following])
            except Ended:
                return None

    def scores_after(self, known: int) -> list[tuple[int, float]]:
        """(epoch, validation accuracy) of the epochs after the first `known`."""
        return self.scores[known:]

    def prune(self) -> None:
        """Ends the trial at its next step."""
        self.pruned = True


class Seat:
    """A worker's place: one worker after the other, when they die.

    Attributes:
        worker: the one that sits there.
        trial: Optuna's, that it trains; None while it waits.
        answer: what it will answer.
        known: epochs of the trial that were told.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.stack = contextlib.ExitStack()
        self.trial: Any = None
        self.answer: Any = None
        self.known = 0
        self.sit()

    def leave(self) -> None:
        """Ends the worker."""
        self.stack.close()

    def sit(self) -> None:
        """Has a new worker take the place."""
        self.leave()
        arguments = [(os.environ.get("KERAS_BACKEND"), self.cluster.kind)]
        (self.worker,) = self.stack.enter_context(placed(self.cluster, TrialWorker, arguments))

    def begin(self, trial: Any, recipe: Recipe, data: Any) -> None:
        self.trial, self.known = trial, 0
        self.answer = self.worker.train.remote(recipe, data)


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """What all steps of a search share."""

    search: Search
    study: Any
    data: Any
    seats: list[Seat]
    num_trials: int

    @property
    def busy(self) -> list[Seat]:
        return [seat for seat in self.seats if seat.trial is not None]


def run_trials_on(cluster: Cluster, search: Search, num_trials: int) -> Any:
    """As `tinysight.jobs.search.run_trials`, as many trials at a time as the cluster has workers.

    A trial whose worker dies is begun again on another one.

    Returns:
        Optuna's study.

    Raises:
        TrainingStoppedError: when the first trials all failed.
        KeyboardInterrupt: at Ctrl-C; trials that were running are begun again later.
    """
    import optuna
    import ray

    study = open_study(search.folder)
    split = search.split
    data = TrialData(
        train=replace(split.images, sources=()), rows=split.train_indices,
        validation=None if split.validation is None else replace(split.validation, sources=()),
    )  # fmt: skip
    with quiet_optuna(), _seated(cluster) as seats:
        optuna.storages.fail_stale_trials(study)
        all_of_it = Round(search=search, study=study, data=ray.put(data), seats=seats, num_trials=num_trials)
        try:
            while len(finished(study)) < num_trials:
                _fill(all_of_it)
                _wait(all_of_it)
        finally:
            for seat in all_of_it.busy:
                _again(all_of_it, seat)
    return study


@contextlib.contextmanager
def _seated(cluster: Cluster) -> Iterator[list[Seat]]:
    with contextlib.ExitStack() as stack:
        seats = []
        for _ in range(cluster.num_workers):
            seat = Seat(cluster)
            stack.callback(seat.leave)
            seats.append(seat)
        yield seats


def _fill(all_of_it: Round) -> None:
    """Gives every worker that waits a trial, as long as more are wanted."""
    study, search = all_of_it.study, all_of_it.search
    for seat in all_of_it.seats:
        if seat.trial is not None or len(finished(study)) + len(all_of_it.busy) >= all_of_it.num_trials:
            continue
        study.sampler = sampler_for(study, search.base.seed)
        trial = study.ask()
        for dimension in search.space:
            dimension.suggest(trial)
        try:
            recipe = recipe_of_trial(search.base, search.space, trial.params)
        except TinysightError as error:
            _failed(all_of_it, trial, error)
            continue
        seat.begin(trial, recipe, all_of_it.data)


def _wait(all_of_it: Round) -> None:
    """Takes what is done, and hears how the others get on."""
    import ray

    busy = all_of_it.busy
    if not busy:
        return
    done, _ = ray.wait([seat.answer for seat in busy], timeout=NEWS_SECONDS)
    for seat in busy:
        # Before the answer, so that a pruned or finished trial has all its epochs.
        _hear(all_of_it, seat)
        if seat.answer in done:
            _take(all_of_it, seat)


def _hear(all_of_it: Round, seat: Seat) -> None:
    import ray

    trial = seat.trial
    # A sign of life, for other processes that look at the study.
    all_of_it.study._storage.record_heartbeat(trial._trial_id)
    try:
        scores = ray.get(seat.worker.scores_after.remote(seat.known), timeout=NEWS_SECONDS)
    except ray.exceptions.RayError:
        return
    for epoch, accuracy in scores:
        trial.report(accuracy, epoch)
        if trial.should_prune():
            seat.worker.prune.remote()
            seat.known = 1 << 30
            return
    seat.known += len(scores)


def _take(all_of_it: Round, seat: Seat) -> None:
    """What a worker answered: an outcome, nothing for a trial that was pruned, an error, or that it is gone."""
    import optuna
    import ray

    trial, study, search = seat.trial, all_of_it.study, all_of_it.search
    try:
        try:
            outcome: Outcome | None = ray.get(seat.answer)
        except ray.exceptions.RayError as error:
            raise_failure([], error)
    except WorkersDiedError:
        search.say(f"trial {trial.number}: its worker died; it is begun again on another one")
        _again(all_of_it, seat)
        seat.sit()
        return
    except TinysightError as error:
        seat.trial = None
        _failed(all_of_it, trial, error)
        return
    seat.trial = None
    if outcome is None:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        trial.set_user_attr("parameters", outcome.num_parameters)
        trial.set_user_attr("seconds", outcome.seconds)
        write_history(search.folder.history(trial.number), outcome.history)
        study.tell(trial, outcome.accuracy)
    tell_outcome(search, study, trial.number)
    write_best(search, study)


def _failed(all_of_it: Round, trial: Any, error: TinysightError) -> None:
    import optuna

    trial.set_user_attr(REASON, str(error))
    all_of_it.study.tell(trial, state=optuna.trial.TrialState.FAIL)
    tell_outcome(all_of_it.search, all_of_it.study, trial.number)


def _again(all_of_it: Round, seat: Seat) -> None:
    """The same values once more, as another trial."""
    import optuna

    all_of_it.study.enqueue_trial(seat.trial.params)
    all_of_it.study.tell(seat.trial, state=optuna.trial.TrialState.FAIL)
    seat.trial = None
