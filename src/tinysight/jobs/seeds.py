"""The same training from several seeds, one after the other, and what they came to together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinysight.data.own import OwnData
from tinysight.errors import InvalidValueError, TrainingInterruptedError
from tinysight.files import write_json
from tinysight.images import DataSet
from tinysight.jobs.settings import Settings
from tinysight.jobs.train import train
from tinysight.metrics.seeds import over_seeds
from tinysight.recipe import Recipe
from tinysight.runs import SeedRuns, create_run, refuse_existing
from tinysight.training.retracing import without_retracing_warnings

# Figure over seeds -> the largest value that it can have. None has a mean below 0.
FIGURES: dict[str, float | None] = {"test_accuracy": 1.0, "test_loss": None, "seconds": None}


def train_seeds(
    num_seeds: int,
    recipe: Recipe,
    data: DataSet,
    *,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Trains `num_seeds` times, with the recipe's seed and those that follow it; each is as if it were trained alone.

    They share a process, so that TensorFlow and the images are loaded once. Ctrl-C keeps what is finished: the one
    that trains just then ends as a single training does, and the rest is not begun.

    Args:
        num_seeds: how many trainings, 2 or more.
        out: the folder that holds a run folder for each; None for a new one under `runs/`.
        recipe, data, data_dir, device, settings: as `tinysight.jobs.train.train`.

    Returns:
        `folder`, `num_seeds`, `interrupted`, `runs` (the summary of each training) and `aggregate`, as
        `aggregate_of` gives it for those that were not interrupted; the same is in the folder's record.

    Raises:
        TinysightError: as `train`; what was finished before stays.
    """
    settings = settings or Settings()
    if num_seeds < 2:
        raise InvalidValueError(f"{num_seeds} seeds; expected 2 or more, as one training has no spread")
    if settings.minutes is not None:
        raise InvalidValueError("seeds and minutes exclude each other: by the clock no training can be had again")
    with _new_folder(out, recipe.name) as folder, without_retracing_warnings():
        summaries: list[dict[str, Any]] = []
        test_seed = recipe.seed if isinstance(data, OwnData) and recipe.test_seed is None else recipe.test_seed
        for number in range(num_seeds):
            seed = recipe.seed + number
            settings.say(f"training {number + 1} of {num_seeds}, seed {seed}")
            where = folder.run(seed).folder
            own = _settings_of(settings, folder)
            try:
                summary = train(
                    recipe.replace(seed=seed, test_seed=test_seed),
                    data,
                    out=where,
                    data_dir=data_dir,
                    device=device,
                    settings=own,
                )
            except (KeyboardInterrupt, TrainingInterruptedError):
                if not summaries:
                    raise
                settings.say(f"interrupted: keeping the trainings that are finished, {len(summaries)} of {num_seeds}")
                return _write(folder, num_seeds, summaries, interrupted=True)
            summaries.append(summary)
            record = _write(folder, num_seeds, summaries, interrupted=summary["interrupted"])
            if record["interrupted"]:
                break
            _forget_nets()
    return record


def _settings_of(settings: Settings, folder: SeedRuns) -> Settings:
    """The event files of several trainings in a folder of their own, as all have runs named after their seeds."""
    if not settings.tensorboard:
        return settings
    return replace(settings, tensorboard=Path(settings.tensorboard) / folder.folder.resolve().name)


@contextlib.contextmanager
def _new_folder(out: str | Path | None, name: str) -> Iterator[SeedRuns]:
    if out is not None:
        refuse_existing(out)
        yield SeedRuns(out)
        return
    folder = create_run(None, f"{name}-seeds").folder
    try:
        yield SeedRuns(folder)
    finally:
        # One in which nothing was begun goes again; one that holds anything stays.
        with contextlib.suppress(OSError):
            folder.rmdir()


def _write(
    folder: SeedRuns, num_seeds: int, summaries: Sequence[dict[str, Any]], *, interrupted: bool
) -> dict[str, Any]:
    record = {
        "folder": str(folder.folder),
        "num_seeds": num_seeds,
        "interrupted": interrupted,
        "runs": list(summaries),
        "aggregate": aggregate_of([summary for summary in summaries if not summary["interrupted"]]),
    }
    write_json(folder.record, record)
    return record


def aggregate_of(summaries: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]] | None:
    """What several trainings came to together; None without one.

    Args:
        summaries: of trainings that differ in their seed.

    Returns:
        `test_accuracy`, `test_loss` and `seconds`, each with `mean`, `std` (standard deviation with n - 1), `min`,
        `max`, `interval` (of the mean, 95 %, by Student's t), `n` and `method`; `std` and `interval` are None for
        one training.
    """
    if not summaries:
        return None
    return {name: _figure(name, [summary[name] for summary in summaries], most) for name, most in FIGURES.items()}


def _figure(name: str, values: Sequence[float], most: float | None) -> dict[str, Any]:
    spread = over_seeds(name, values)
    mean = spread.mean
    interval = None
    if mean.low is not None and mean.high is not None:
        # Student's t knows no bounds; a mean of shares has them.
        interval = [max(mean.low, 0.0), mean.high if most is None else min(mean.high, most)]
    return {
        "mean": mean.value,
        "std": spread.std,
        "min": min(spread.values),
        "max": max(spread.values),
        "interval": interval,
        "n": mean.n,
        "method": mean.method,
    }


def _forget_nets() -> None:
    """The next net's layers are named, and its numbers drawn, as in a process of its own; memory stays bounded."""
    import keras

    keras.backend.clear_session()
