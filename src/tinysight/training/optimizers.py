"""Keras's optimizers by their names in a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tinysight.recipe import Recipe
from tinysight.training.schedules import StepTable, learning_rates

OPTIMIZERS: dict[str, Callable[[Recipe, Any], keras.optimizers.Optimizer]] = {
    "adam": lambda recipe, rate: keras.optimizers.Adam(rate),
    "adamw": lambda recipe, rate: keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay),
    "adamax": lambda recipe, rate: keras.optimizers.Adamax(rate),
    "nadam": lambda recipe, rate: keras.optimizers.Nadam(rate),
    "rmsprop": lambda recipe, rate: keras.optimizers.RMSprop(rate, momentum=recipe.momentum),
    "sgd": lambda recipe, rate: keras.optimizers.SGD(
        rate, momentum=recipe.momentum, nesterov=recipe.nesterov, weight_decay=recipe.weight_decay or None
    ),
    "muon": lambda recipe, rate: keras.optimizers.Muon(
        rate, momentum=recipe.momentum, nesterov=recipe.nesterov, weight_decay=recipe.weight_decay
    ),
}


def make_optimizer(recipe: Recipe, net: keras.Model, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimizer of `recipe` for `net`: weight decay acts on kernels only, never on biases and normalisation."""
    rates = learning_rates(recipe, steps_per_epoch)
    optimizer = OPTIMIZERS[recipe.optimizer](
        recipe, recipe.learning_rate if recipe.schedule == "constant" else StepTable(rates)
    )
    if optimizer.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in net.trainable_variables if len(v.shape) < 2])
    return optimizer
