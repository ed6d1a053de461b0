"""Optuna's study of a search: its file, what is drawn next, and how trials end in it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinysight.jobs.space import Dimension
from tinysight.runs import SearchFolder

STUDY = "tinysight"
# A trial that was running in a process that died is begun again when it has given no sign for so long, seconds.
SIGN_EVERY, GIVEN_UP_AFTER = 10, 60
# The first trials are drawn at random; then those that look promising.
NUM_RANDOM = 10
# Pruning compares with other trials at the same epoch: from the sixth trial on, after the first epoch.
NUM_UNPRUNED, EPOCHS_UNPRUNED = 5, 1
# A trial's attribute: why it failed.
REASON = "reason"


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna says what we say better, calls what we use experimental, and would give the signs of life itself."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed", UserWarning)
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


def ask(study: Any, space: Sequence[Dimension], seed: int) -> Any:
    """The next trial, with its values: one that waits to be begun again, else one that is drawn."""
    trial = study.ask()
    study.sampler = sampler_for(trial.number, seed)
    # At once: a trial that never gave a sign would never be given up.
    give_sign(study, trial)
    for dimension in space:
        dimension.suggest(trial)
    return trial


def give_sign(study: Any, trial: Any) -> None:
    """A sign of life of `trial`, for other processes that look at the study."""
    study._storage.record_heartbeat(trial._trial_id)


def sampler_for(number: int, seed: int) -> Any:
    """Draws depend on seed and on the trial's number, which no other process has: nothing is drawn twice."""
    import optuna

    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=drawn, n_startup_trials=NUM_RANDOM)


def finished(study: Any) -> list[Any]:
    """Trials that came to an end: whole, pruned, or failed for a reason of their own."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED") or (trial.state.name == "FAIL" and REASON in trial.user_attrs)
    ]


def tell(
    study: Any, trial: Any, state: str, value: float | None = None, attributes: Mapping[str, Any] | None = None
) -> None:
    """Ends `trial`; where another process has given it up, as this one stood still, it stays as it is.

    Args:
        study: Optuna's.
        trial: Optuna's, that was running.
        state: "COMPLETE", "PRUNED" or "FAIL".
        value: its validation accuracy, where it is complete.
        attributes: what else to keep of it.
    """
    import optuna

    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
        for name, attribute in (attributes or {}).items():
            trial.set_user_attr(name, attribute)
        study.tell(trial, value, state=optuna.trial.TrialState[state], skip_if_finished=True)


def begin_again(study: Any, trial: Any, attributes: Mapping[str, Any] | None = None) -> None:
    """Has the same values tried once more, as another trial with `attributes`."""
    study.enqueue_trial(trial.params, user_attrs=dict(attributes or {}))
    tell(study, trial, "FAIL")


def best_trial(study: Any) -> Any | None:
    """The whole trial with the highest validation accuracy; of equals, the first; None where there is none."""
    whole = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    return max(whole, key=lambda trial: (trial.value, -trial.number), default=None)
