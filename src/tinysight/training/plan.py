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
from tinysight.recipe import Recipe
from tinysight.training.budget import LOOKS, TimeBudget
from tinysight.training.candidates import ANY_NET, CANDIDATES, SHIFTS, Candidate
from tinysight.training.fit import compile_trainee, make_feed, make_room

# Share of the time that may go into finding out how fast the candidates are.
TIMING_SHARE = 0.1
TIMED_STEPS = 8
# In less time than this the smallest candidate is taken as it comes: finding out how fast it is costs two seconds of
# tracing, in which it learns more. Then it is thought to train so many images a second, as two slow cores do.
UNTIMED_SECONDS, USUAL_RATE = 8.0, 5000
# What ONNX Runtime's forward pass takes of a step in float32.
FORWARD_SHARE = 0.3
# What it takes of Keras's own forward pass in float32: 0.82 to 0.98, the more the wider the net, with a view at a time;
# less with all of them together.
ONNX_SHARE = 0.85
SCORED_AT_ONCE = 128
# From so many epochs on, shifted images keep a net from learning its images by heart; in fewer they cost accuracy.
EPOCHS_FOR_SHIFTS = 4
SMALLEST_SHIFTED = 16
# The candidates are for images of this side; larger ones are taken at larger steps, up to so many pixels. In smaller
# ones than SMALLEST_SIDE, the first layer leaves no pixel to spare at the border: three times halved, nothing is left.
USUAL_SIDE, MAX_STRIDES, SMALLEST_SIDE = 32, 4, 9


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was chosen.

    Attributes:
        recipe: with the chosen net.
        seconds_per_step: as timed, or as it follows from the smallest net's.
        num_images: images that it will see by the end.
        scoring_seconds: what the forward pass at the end will take, as far as can be told from the steps, and what else
            comes after the training of this net but not of the smallest.
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
    task = _Task(images, rows, latest, num_scored)
    if recipe.model != "fast":
        best = _timed(task, recipe, ANY_NET)
    elif task.left() < UNTIMED_SECONDS:
        net = _for_images(recipe.replace(**candidates[0].fields), images)
        return _plan(task, net, min(net.batch_size, task.num_train) / USUAL_RATE, candidates[0])
    else:
        best = _best(task, recipe, candidates)
        if best.num_images >= EPOCHS_FOR_SHIFTS * task.num_train and min(images.image_shape[:2]) >= SMALLEST_SHIFTED:
            best = replace(best, recipe=best.recipe.replace(**SHIFTS))
    # The net that is trained gets the names that it has where nothing was timed before it.
    keras.backend.clear_session()
    return best


@dataclass(frozen=True)
class _Task:
    """What `make_plan` is asked."""

    images: ImageSet
    rows: NDArray[np.int64] | None
    latest: float
    num_scored: int

    @property
    def num_train(self) -> int:
        return len(self.images) if self.rows is None else len(self.rows)

    def left(self) -> float:
        """Seconds from now on."""
        return self.latest - time.perf_counter()


def _best(task: _Task, recipe: Recipe, candidates: Sequence[Candidate]) -> Plan:
    """The largest candidate that sees enough images.

    What it costs in times of the smallest one is known roughly, so the smallest is timed and one that may do, but no
    other.
    """
    whole = task.left()
    nets = [_for_images(recipe.replace(**candidate.fields), task.images) for candidate in candidates]
    smallest = _timed(task, nets[0], candidates[0])
    unit = smallest.seconds_per_step / candidates[0].cost[resolve_precision(nets[0]).precision]
    for candidate, net in zip(candidates[:0:-1], nets[:0:-1], strict=True):
        precision = resolve_precision(net).precision
        plan = _plan(task, net, unit * candidate.cost[precision], candidate)
        is_timed = plan.num_images >= candidate.images and 3 * (whole - task.left()) <= TIMING_SHARE * whole
        if is_timed:
            plan = _timed(task, net, candidate)
        if plan.num_images >= candidate.images:
            if is_timed and task.num_scored and precision != "float32":
                plan = _with_scoring(task, plan, candidate)
            return plan
    return smallest


def _with_scoring(task: _Task, plan: Plan, candidate: Candidate) -> Plan:
    """The same with its forward pass timed, in float32 as the ONNX file computes it."""
    images = task.images
    net = build_training_net(plan.recipe.replace(precision="float32"), images.image_shape, images.num_classes)
    batch = np.zeros((SCORED_AT_ONCE, *images.image_shape), np.float32)
    seconds = _median_seconds(lambda: net.predict_on_batch(batch), TIMED_STEPS)
    scoring = task.num_scored * plan.recipe.num_views * ONNX_SHARE * seconds / SCORED_AT_ONCE
    return _ending(task, plan.recipe, plan.seconds_per_step, scoring + candidate.later)


def _for_images(recipe: Recipe, images: ImageSet) -> Recipe:
    """The stem takes larger steps over larger images, so that the groups see what they see of small ones."""
    side = min(images.image_shape[:2])
    strides = min(MAX_STRIDES, recipe.stem_strides * max(1, round(side / USUAL_SIDE)))
    padding = "same" if side < SMALLEST_SIDE else recipe.stem_padding
    # No pixel is left out.
    return recipe.replace(stem_strides=strides, stem_kernel=max(strides, recipe.stem_kernel), stem_padding=padding)


def _timed(task: _Task, recipe: Recipe, candidate: Candidate) -> Plan:
    return _plan(task, recipe, _seconds_per_step(recipe, task.images, task.rows), candidate)


def _plan(task: _Task, recipe: Recipe, seconds: float, candidate: Candidate) -> Plan:
    """With so many seconds a step; the forward pass is made in float32, whatever a step computes in."""
    in_float32 = seconds * candidate.cost["float32"] / candidate.cost[resolve_precision(recipe).precision]
    batch_size = min(recipe.batch_size, task.num_train)
    scoring = task.num_scored * recipe.num_views * FORWARD_SHARE * in_float32 / batch_size
    return _ending(task, recipe, seconds, scoring + candidate.later)


def _ending(task: _Task, recipe: Recipe, seconds: float, scoring: float) -> Plan:
    """From now on until there is only time to score."""
    seen = max(0.0, task.left() - scoring) / seconds * min(recipe.batch_size, task.num_train)
    return Plan(recipe=recipe, seconds_per_step=seconds, num_images=int(seen), scoring_seconds=scoring)


def _seconds_per_step(recipe: Recipe, images: ImageSet, rows: NDArray[np.int64] | None) -> float:
    feed = make_feed(recipe, images, rows)
    net = build_training_net(recipe, images.image_shape, images.num_classes)
    make_room(net)
    trainee = compile_trainee(recipe, net, feed.num_steps)
    order = feed.order()
    size = feed.batch_size
    batch: Any = feed.look_up(order[:size])
    return _median_seconds(lambda: trainee.train_on_batch(*batch), TIMED_STEPS)


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
    return TimeBudget(
        plan.recipe, deadline, steps, least_seconds,
        seconds_per_step=plan.seconds_per_step, scoring_seconds=plan.scoring_seconds,
    )  # fmt: skip
