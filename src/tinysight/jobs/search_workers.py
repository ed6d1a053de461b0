"""A search on a cluster: every worker trains one trial at a time, and this process alone writes the study."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinysight.cluster.engine import Cluster
from tinysight.cluster.group import PLACING_SECONDS, WorkersDiedError, needs_of_worker, raise_failure
from tinysight.cluster.training import MAX_DEATHS, found_from_everywhere
from tinysight.cluster.worker import choose_backend
from tinysight.errors import TinysightError, TrainingStoppedError
from tinysight.jobs.search import Search, end, fail, recipe_of_trial
from tinysight.jobs.study import SIGN_EVERY, ask, begin_again, finished, give_sign, open_study, quiet_optuna
from tinysight.jobs.trial import Outcome, TrialData, train_trial
from tinysight.recipe import Recipe
from tinysight.training.history import write_history

# How often workers are asked for news, seconds. A trial that is pruned goes on for so long.
NEWS_SECONDS = 0.5
# A trial's attribute: how many workers died of it so far.
DEATHS = "deaths"
# More epochs than any trial has.
_ALL = 1 << 30


class TrialWorker:
    """A process that trains trials, one after the other.

    It is asked while it trains, and a question may come before the trial that it is about: each names its trial.

    Args:
        backend: Keras's; None for what fits the machine.
        kind: "cpu" or "gpu".
    """

    def __init__(self, backend: str | None, kind: str) -> None:
        self.backend, self.kind = backend, kind
        self.scores: list[tuple[int, float]] = []
        self.number = self.pruned = -1

    def train(self, number: int, recipe: Recipe, data: TrialData) -> Outcome | None:
        """What trial `number` came to; None where it was ended early.

        Raises:
            TinysightError: as `train_trial`.
        """
        self.scores = []
        self.number = number
        choose_backend(self.backend, "cpu" if self.kind == "cpu" else "auto")
        from tinysight.training.pruning import Ended, Following
        from tinysight.training.retracing import without_retracing_warnings

        following = Following(recipe.metric, self.scores, lambda: self.pruned == number)
        with tempfile.TemporaryDirectory(prefix="tinysight-") as scratch, without_retracing_warnings():
            try:
                return train_trial(recipe, data, history_path=Path(scratch) / "history.csv", callbacks=[following])
            except Ended:
                return None

    def scores_after(self, number: int, known: int) -> list[tuple[int, float]]:
        """(epoch, validation accuracy) of the epochs after the first `known` of trial `number`."""
        return self.scores[known:] if self.number == number else []

    def prune(self, number: int) -> None:
        """Ends trial `number` at its next step."""
        self.pruned = number


class Seat:
    """A worker's place: one worker after the other, when they die.

    Attributes:
        worker: the one that sits there, or is on its way.
        arrival: what it answers once it is there.
        trial: Optuna's, that it trains; None while it waits.
        answer: what it will answer.
        known: epochs of the trial that were told.
        signed: when it last gave a sign of life, on the clock of `time.monotonic`.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.worker: Any = None
        self.arrival: Any = None
        self.trial: Any = None
        self.answer: Any = None
        self.known, self.signed = 0, 0.0
        self.sit()

    def leave(self) -> None:
        """Ends the worker."""
        import ray

        ray.kill(self.worker)

    def sit(self) -> None:
        """Has a new worker take the place, as soon as the cluster has room for it."""
        import ray

        options = {**needs_of_worker(self.cluster), "scheduling_strategy": "SPREAD"}
        kind = ray.remote(TrialWorker).options(**options)
        self.worker = kind.remote(os.environ.get("KERAS_BACKEND"), self.cluster.kind)
        self.arrival = self.worker.__ray_ready__.remote()

    @property
    def is_free(self) -> bool:
        """Whether a worker sits there that has no trial."""
        import ray

        return self.trial is None and bool(ray.wait([self.arrival], timeout=0)[0])

    def begin(self, trial: Any, recipe: Recipe, data: Any) -> None:
        self.trial, self.known, self.signed = trial, 0, time.monotonic()
        self.answer = self.worker.train.remote(trial.number, recipe, data)


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

    A trial whose worker dies is begun again, on whichever is free; one of which three died has failed.

    Returns:
        Optuna's study.

    Raises:
        TrainingStoppedError: when the first trials all failed, or the cluster has room for no worker in ten minutes.
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
        waits_since = time.monotonic()
        try:
            while len(finished(study)) < num_trials:
                _fill(all_of_it)
                waits_since = time.monotonic() if all_of_it.busy else waits_since
                _check_patience(cluster, waits_since)
                _wait(all_of_it)
        finally:
            for seat in all_of_it.busy:
                begin_again(study, seat.trial, seat.trial.user_attrs)
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


def _check_patience(cluster: Cluster, waits_since: float) -> None:
    if time.monotonic() - waits_since > PLACING_SECONDS:
        raise TrainingStoppedError(
            f"the cluster at {cluster.address} had no room for a worker in {PLACING_SECONDS / 60:g} minutes"
        )


def _fill(all_of_it: Round) -> None:
    """Gives every worker that waits a trial, as long as more are wanted."""
    study, search = all_of_it.study, all_of_it.search
    for seat in all_of_it.seats:
        if not seat.is_free:
            continue
        if len(finished(study)) + len(all_of_it.busy) >= all_of_it.num_trials:
            return
        trial = ask(study, search.space, search.base.seed)
        try:
            recipe = found_from_everywhere(recipe_of_trial(search.base, search.space, trial.params))
        except TinysightError as error:
            fail(search, study, trial, str(error))
            continue
        seat.begin(trial, recipe, all_of_it.data)


def _wait(all_of_it: Round) -> None:
    """Takes what is done, and hears how the others get on."""
    import ray

    busy = all_of_it.busy
    awaited = [seat.answer for seat in busy] or [seat.arrival for seat in all_of_it.seats]
    done, _ = ray.wait(awaited, timeout=NEWS_SECONDS)
    for seat in busy:
        # Before the answer, so that a pruned or finished trial has all its epochs.
        _hear(all_of_it, seat)
        if seat.answer in done:
            _take(all_of_it, seat)


def _hear(all_of_it: Round, seat: Seat) -> None:
    import optuna
    import ray

    trial = seat.trial
    if time.monotonic() - seat.signed >= SIGN_EVERY:
        give_sign(all_of_it.study, trial)
        seat.signed = time.monotonic()
    try:
        scores = ray.get(seat.worker.scores_after.remote(trial.number, seat.known), timeout=NEWS_SECONDS)
    except ray.exceptions.RayError:
        return
    seat.known += len(scores)
    try:
        for epoch, accuracy in scores:
            trial.report(accuracy, epoch)
            if trial.should_prune():
                _prune(seat)
                return
    except optuna.exceptions.UpdateFinishedTrialError:
        # Given up by another process, as this one stood still.
        _prune(seat)


def _prune(seat: Seat) -> None:
    seat.worker.prune.remote(seat.trial.number)
    seat.known = _ALL


def _take(all_of_it: Round, seat: Seat) -> None:
    """What a worker answered: an outcome, nothing for a trial that was pruned, an error, or that it is gone."""
    import ray

    trial, study, search = seat.trial, all_of_it.study, all_of_it.search
    seat.trial = None
    try:
        try:
            outcome: Outcome | None = ray.get(seat.answer)
        except ray.exceptions.RayError as error:
            raise_failure([], error)
    except WorkersDiedError as error:
        seat.leave()
        seat.sit()
        _lost(all_of_it, trial, error)
        return
    except TinysightError as error:
        fail(search, study, trial, str(error))
        return
    if outcome is not None:
        write_history(search.folder.history(trial.number), outcome.history)
    end(search, study, trial, outcome)


def _lost(all_of_it: Round, trial: Any, error: WorkersDiedError) -> None:
    """A trial whose worker died is begun again, unless it is what they die of."""
    study, search = all_of_it.study, all_of_it.search
    deaths = trial.user_attrs.get(DEATHS, 0) + 1
    if deaths >= MAX_DEATHS:
        fail(search, study, trial, f"{error}, {deaths} times; `ray logs` tells more")
        return
    search.say(f"trial {trial.number}: {error}; it is begun again")
    begin_again(study, trial, {DEATHS: deaths})
