"""The learning-rate range test: one short training whose rate rises from step to step, and the loss of each step.

Source: Smith, Cyclical learning rates for training neural networks, 2015, https://arxiv.org/abs/1506.01186, section
3.3; there the rate rises linearly, here by a factor, as useful rates lie decades apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinysight.images import ImageSet
from tinysight.recipe import Recipe
from tinysight.training.balance import class_weights
from tinysight.training.feed import Feed
from tinysight.training.fit import adapt_to, compile_trainee, make_feed
from tinysight.training.rate_choice import RangeTest, rising_rates

# A loss this many times the lowest so far has diverged; both are means over about the last ten steps.
DIVERGED, KEPT = 4.0, 0.9


def run_range_test(
    recipe: Recipe,
    net: keras.Model,
    images: ImageSet,
    rows: NDArray[np.int64],
    *,
    lowest: float,
    highest: float,
    num_steps: int,
) -> RangeTest:
    """Trains `net` in place, a step at each rate, until the loss diverges.

    Feed, augmentation, loss and optimizer are those of a training with `recipe`; only its schedule is another one.

    Args:
        recipe: how.
        net: scaled images, float32, to (n, num_classes); see `tinysight.models`.
        images: where the images lie.
        rows: int64, which of them to learn from.
        lowest, highest: the rates of the first and the last step, above 0.
        num_steps: steps in all.
    """
    rates = rising_rates(lowest, highest, num_steps)
    rising = recipe.replace(
        schedule="recorded", schedule_steps=tuple(range(num_steps)), schedule_rates=tuple(map(float, rates)),
        steps=num_steps,
    )  # fmt: skip
    feed = make_feed(rising, images, rows)
    adapt_to(net, rising, images, rows)
    weights = class_weights(rising, images.labels[rows], images.num_classes)
    trainee = compile_trainee(rising, net, feed.num_steps, class_weights=weights)
    # Every step's own loss is what is asked for.
    trainee.steps_per_execution = 1
    losses: list[float] = []
    running, best = 0.0, math.inf
    for _, batch in zip(range(num_steps), _whole_batches(feed), strict=False):
        loss = float(trainee.train_on_batch(*batch, return_dict=True)["loss"])
        if not math.isfinite(loss):
            return RangeTest(rates=rates[: len(losses)], losses=np.array(losses), end="not finite")
        losses.append(loss)
        running = KEPT * running + (1 - KEPT) * loss
        mean = running / (1 - KEPT ** len(losses))
        best = min(best, mean)
        if mean > DIVERGED * best:
            return RangeTest(rates=rates[: len(losses)], losses=np.array(losses), end="diverged")
    return RangeTest(rates=rates, losses=np.array(losses), end="highest rate")


def _whole_batches(feed: Feed) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
    """Batches without end, epoch after epoch; what is left of an epoch is left out, so that all losses weigh alike."""
    while True:
        order = feed.order()
        for start in range(0, len(order) - feed.batch_size + 1, feed.batch_size):
            yield feed.look_up(order[start : start + feed.batch_size])
        feed.epoch += 1
