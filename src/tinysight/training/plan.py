"""Which net fits into a given time on this machine: a few steps of each candidate are timed, the best one is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinysight.images import ImageSet
from tinysight.models.precision import resolve_precision
from tinysight.models.registry import build_training_net
from tinysight.models.serving import num_views
from tinysight.recipe import Recipe
from tinysight.training.budget import LOOKS, TimeBudget
from tinysight.training.candidates import CANDIDATES, SHIFTS, Candidate
from tinysight.training.fit import compile_trainee, make_feed

# Share of the time that may go into finding out how fast the candidates are.
TIMING_SHARE = 0.1
TIMED_STEPS = 8
# In less time than this the smallest candidate is taken as it comes: finding out how fast it is costs two seconds of
# tracing, in which it learns more. Then it is thought to train so many images a second, as two slow cores do.
UNTIMED_SECONDS, USUAL_RATE = 8.0, 5000
# What ONNX Runtime's forward pass takes of a step; of a step in bfloat16 more, as that pass is in float32.
FORWARD_SHARE = {"float32": 0.22, "bfloat16": 0.8}
SCORED_AT_ONCE = 128
# From so many epochs on, shifted images keep a net from learning its images by heart; in fewer they cost accuracy.
EPOCHS_FOR_SHIFTS = 4
# The candidates are for images of this side; larger ones are taken at larger steps.
USUAL_SIDE = 32


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was chosen.

    Attributes:
        recipe: with the chosen net.
        seconds_per_step: as timed.
        num_images: images that it will see by the end.
        scoring_seconds: what the forward pass at the end will take, as far as can be told from the steps.
    """

    recipe: Recipe
    seconds_per_step: float
    num_images: int
    scoring_seconds: float


def make_plan(
    recipe: Recipe,
    images: ImageSet,
    rows: NDArray[np.int64] | None,
    latest: float,
    num_scored: int,
    candidates: Sequence[Candidate] = CANDIDATES,
) -> Plan:
    """The largest candidate that sees enough images before the end; the smallest one where none does.

    A recipe of another model than "fast" keeps its net, which is trained for as long as there is time.

    Args:
        recipe: what all candidates share.
        images: what is trained on.
        rows: which of them; None for all.
        latest: when training and the forward pass after it have to be over, on the clock of `time.perf_counter`,
            seconds.
        num_scored: how many images that forward pass has.
        candidates: from the smallest to the largest.
    """
    started = time.perf_counter()
    num_train = len(images) if rows is None else len(rows)
    is_ours = recipe.model == "fast"
    if not is_ours:
        candidates = (Candidate(images=0),)
    elif latest - started < UNTIMED_SECONDS:
        return _untimed(_for_images(recipe.replace(**candidates[0].fields), images), latest - started, num_scored)
    best: Plan | None = None
    for candidate in candidates:
        changed = _for_images(recipe.replace(**candidate.fields), images)
        plan = _timed(changed, images, rows, latest, num_scored, num_train)
        if best is not None and plan.num_images < candidate.images:
            break
        best = plan
        # The next candidate costs about twice as much to time; there must be time left to train what is found.
        if 3 * (time.perf_counter() - started) > TIMING_SHARE * (latest - started):
            break
    assert best is not None
    if num_scored and resolve_precision(best.recipe).precision != "float32":
        best = _with_scoring(best, images, latest, num_scored, num_train)
    # The net that is trained gets the names that it has where nothing was timed before it.
    keras.backend.clear_session()
    if is_ours and best.num_images >= EPOCHS_FOR_SHIFTS * num_train and min(images.image_shape[:2]) >= 16:
        best = replace(best, recipe=best.recipe.replace(**SHIFTS))
    return best


def _untimed(recipe: Recipe, left: float, num_scored: int) -> Plan:
    scoring = num_scored * num_views(recipe) * FORWARD_SHARE["float32"] / USUAL_RATE
    return Plan(
        recipe=recipe,
        seconds_per_step=recipe.batch_size / USUAL_RATE,
        num_images=int(max(0.0, left - scoring) * USUAL_RATE),
        scoring_seconds=scoring,
    )


def _with_scoring(plan: Plan, images: ImageSet, latest: float, num_scored: int, num_train: int) -> Plan:
    """The same with its forward pass timed, in float32 as the ONNX file computes it."""
    net = build_training_net(plan.recipe.replace(precision="float32"), images.image_shape, images.num_classes)
    batch = np.zeros((SCORED_AT_ONCE, *images.image_shape), np.float32)
    seconds = _median_seconds(lambda: net.predict_on_batch(batch), TIMED_STEPS)
    scoring = num_scored * num_views(plan.recipe) * seconds / SCORED_AT_ONCE
    left = max(0.0, latest - scoring - time.perf_counter())
    seen = int(left / plan.seconds_per_step * min(plan.recipe.batch_size, num_train))
    return replace(plan, scoring_seconds=scoring, num_images=seen)


def _for_images(recipe: Recipe, images: ImageSet) -> Recipe:
    """The stem takes larger steps over larger images, so that the groups see what they see of small ones."""
    if recipe.model != "fast":
        return recipe
    times = max(1, round(min(images.image_shape[:2]) / USUAL_SIDE))
    return recipe.replace(stem_strides=min(4, recipe.stem_strides * times))


def _timed(
    recipe: Recipe, images: ImageSet, rows: NDArray[np.int64] | None, latest: float, num_scored: int, num_train: int
) -> Plan:
    seconds, precision = _seconds_per_step(recipe, images, rows)
    batch_size = min(recipe.batch_size, num_train)
    scoring = num_scored * num_views(recipe) * FORWARD_SHARE[precision] * seconds / batch_size
    left = latest - scoring - time.perf_counter()
    seen = max(0, int(left / seconds * batch_size))
    return Plan(recipe=recipe, seconds_per_step=seconds, num_images=seen, scoring_seconds=scoring)


def _seconds_per_step(recipe: Recipe, images: ImageSet, rows: NDArray[np.int64] | None) -> tuple[float, str]:
    feed = make_feed(recipe, images, rows)
    net = build_training_net(recipe, images.image_shape, images.num_classes)
    trainee = compile_trainee(recipe, net, feed.num_steps)
    order = feed.order()
    size = feed.batch_size
    batch: Any = feed.look_up(order[:size])
    seconds = _median_seconds(lambda: trainee.train_on_batch(*batch), TIMED_STEPS)
    return seconds, resolve_precision(recipe).precision


def _median_seconds(act: Callable[[], Any], times: int) -> float:
    """Of `act`, done once before, as it is compiled then."""
    act()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def make_budget(plan: Plan, deadline: float, least_seconds: float) -> TimeBudget:
    """The clock for the chosen net."""
    left = max(deadline - time.perf_counter(), least_seconds)
    steps = max(1, int(left / LOOKS / plan.seconds_per_step))
    return TimeBudget(plan.recipe, deadline, steps, least_seconds)
