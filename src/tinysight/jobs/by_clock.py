"""`--minutes`: how much of the time goes into training, and what is trained in it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tinysight.cores import num_cores
from tinysight.data.validation import TrainingSplit
from tinysight.errors import InvalidValueError
from tinysight.images import DataSet
from tinysight.jobs.settings import Settings
from tinysight.recipe import Recipe
from tinysight.training.candidates import CHOSEN

if TYPE_CHECKING:
    from tinysight.training.budget import TimeBudget

# What comes after training, apart from the forward pass, seconds on two cores on which the import of Keras takes
# USUAL_IMPORT: saving, ONNX and figures; the report; and plots where there is no second core to draw them meanwhile.
FINISHING, REPORTING, DRAWING, USUAL_IMPORT = 1.7, 0.4, 1.5, 2.6
# How much of it goes with the import, which is Python's own work, too. On one machine the two hardly move together:
# beside imports of 3.2 to 5.3 s, what came after training took 4.1 to 5.5 s, the longest import before the shortest.
SCALED = 0.5
# At least so much of the time is for steps, however slow the machine: a net that learned nothing is of no use.
LEAST_SHARE = 0.1

# What the clock decides whatever the net.
BY_CLOCK = frozenset({"epochs", "steps", "schedule", "schedule_steps", "schedule_rates"})


def check_beside_minutes(recipe: Recipe, named: Iterable[str]) -> None:
    """Refuses fields that were set by hand but would be chosen by the clock.

    Args:
        recipe: what is to be trained.
        named: the fields.

    Raises:
        InvalidValueError: for the first of them.
    """
    chosen = BY_CLOCK | CHOSEN if recipe.model == "fast" else BY_CLOCK
    for name in named:
        if name in chosen:
            raise InvalidValueError(f"{name} is chosen by --minutes: leave one of them out")


def fit_into(
    recipe: Recipe, data: DataSet, split: TrainingSplit, settings: Settings, started: float, import_seconds: float
) -> tuple[Recipe, TimeBudget]:
    """The net that is best in the time of `settings` on this machine, and the clock that trains it.

    Args:
        recipe: what all nets share.
        data: whose test images are scored at the end.
        split: what is learned from, and what is scored besides.
        settings: with `minutes`.
        started: when the command began, on the clock of `time.perf_counter`, seconds.
        import_seconds: what the import of Keras took; tells how fast this machine is at what is neither training nor
            prediction.
    """
    from tinysight.training.plan import make_budget, make_plan

    assert settings.minutes is not None
    end = started + 60 * settings.minutes
    # Less than a second: Keras was there before.
    slowness = import_seconds / USUAL_IMPORT if import_seconds > 1 else 1.0
    usual_seconds = FINISHING + REPORTING * settings.report + DRAWING * (num_cores() == 1)
    python_seconds = usual_seconds * (1 - SCALED + SCALED * slowness)
    num_scored = len(data.test)
    if split.validation is not None and split.validation_source != "test":
        num_scored += len(split.validation)
    latest = end - python_seconds
    plan = make_plan(recipe, split.images, split.train_indices, latest, num_scored)
    least_seconds = LEAST_SHARE * 60 * settings.minutes
    deadline = max(latest - plan.scoring_seconds, time.perf_counter() + least_seconds)
    epochs = plan.num_images / split.num_train
    changed = plan.recipe
    net = f"the net of {recipe.name}"
    if recipe.model == "fast":
        several = "s" * (changed.group_convolutions > 1)
        net = (
            f"{'-'.join(map(str, changed.widths))} with {changed.group_convolutions} convolution{several} a group,"
            f" first layer in steps of {changed.stem_strides}"
        )
    settings.say(
        f"--minutes {settings.minutes:g}: {net}, {deadline - time.perf_counter():.0f} s of training, about"
        f" {epochs:.1f} epochs"
    )
    return changed.replace(epochs=max(1, round(epochs)), steps=None), make_budget(plan, deadline, least_seconds)
