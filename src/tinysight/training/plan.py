"""Which net fits into a given time on this machine: a few steps of each candidate are timed, the best one is chosen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinysight.images import ImageSet
from tinysight.models.registry import build_training_net
from tinysight.recipe import Recipe
from tinysight.training.budget import LOOKS, TimeBudget
from tinysight.training.fit import compile_trainee, make_feed

# Share of the time that may go into finding out how fast the candidates are.
TIMING_SHARE = 0.1
TIMED_STEPS = 8


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A net of model=fast and how long it wants to be trained.

    Attributes:
        widths: filters of its groups.
        group_convolutions: convolutions in each.
        stem_strides: step of its first layer; 1 keeps the resolution.
        images: images to see before a larger net does better, measured on CIFAR-10.
    """

    widths: tuple[int, ...]
    group_convolutions: int
    stem_strides: int
    images: int


# From the smallest to the largest.
CANDIDATES = (
    Candidate(widths=(32, 64, 128), group_convolutions=1, stem_strides=2, images=0),
    Candidate(widths=(64, 128, 256), group_convolutions=1, stem_strides=2, images=250_000),
    Candidate(widths=(64, 256, 256), group_convolutions=1, stem_strides=1, images=400_000),
    Candidate(widths=(64, 256, 256), group_convolutions=2, stem_strides=1, images=600_000),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was chosen.

    Attributes:
        recipe: with the chosen net.
        seconds_per_step: as timed.
        num_images: images that it will see by the end.
    """

    recipe: Recipe
    seconds_per_step: float
    num_images: int


def make_plan(
    recipe: Recipe, images: ImageSet, rows: NDArray[np.int64] | None, candidates: tuple[Candidate, ...], deadline: float
) -> Plan:
    """The largest candidate that sees enough images before the deadline; the smallest one where none does.

    Args:
        recipe: what all candidates share.
        images: what is trained on.
        rows: which of them; None for all.
        candidates: from the smallest to the largest.
        deadline: when training has to be over, on the clock of `time.perf_counter`, seconds.
    """
    started = time.perf_counter()
    best: Plan | None = None
    for candidate in candidates:
        changed = recipe.replace(
            widths=candidate.widths,
            group_convolutions=candidate.group_convolutions,
            stem_strides=candidate.stem_strides,
        )
        seconds = _seconds_per_step(changed, images, rows)
        now = time.perf_counter()
        seen = max(0, int((deadline - now) / seconds * recipe.batch_size))
        if best is not None and seen < candidate.images:
            break
        best = Plan(recipe=changed, seconds_per_step=seconds, num_images=seen)
        # The next candidate costs about twice as much to time; there must be time left to train what is found.
        if 3 * (now - started) > TIMING_SHARE * (deadline - started) or seen < candidate.images:
            break
    assert best is not None
    # The net that is trained gets the names that it has where nothing was timed before it.
    keras.backend.clear_session()
    return best


def _seconds_per_step(recipe: Recipe, images: ImageSet, rows: NDArray[np.int64] | None) -> float:
    feed = make_feed(recipe, images, rows)
    net = build_training_net(recipe, images.image_shape, images.num_classes)
    trainee = compile_trainee(recipe, net, feed.num_steps)
    order = feed.order()
    size = feed.batch_size
    batch: Any = feed.look_up(order[:size])
    trainee.train_on_batch(*batch)
    times = []
    for _ in range(TIMED_STEPS):
        began = time.perf_counter()
        trainee.train_on_batch(*batch)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def make_budget(plan: Plan, deadline: float) -> TimeBudget:
    """The clock for the chosen net."""
    left = deadline - time.perf_counter()
    steps = max(1, int(left / LOOKS / plan.seconds_per_step))
    return TimeBudget(plan.recipe, deadline, steps)
