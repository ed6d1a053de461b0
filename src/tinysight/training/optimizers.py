"""Keras's optimizers, and one that it lacks, by their names in a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tinysight.recipe import Recipe
from tinysight.training.muon import Muon
from tinysight.training.schedules import StepTable

OPTIMIZERS: dict[str, Callable[[Recipe, Any], keras.optimizers.Optimizer]] = {
    "adam": lambda recipe, rate: keras.optimizers.Adam(rate),
    "adamw": lambda recipe, rate: keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay),
    "adamax": lambda recipe, rate: keras.optimizers.Adamax(rate),
    "nadam": lambda recipe, rate: keras.optimizers.Nadam(rate),
    "rmsprop": lambda recipe, rate: keras.optimizers.RMSprop(rate, momentum=recipe.momentum),
    "sgd": lambda recipe, rate: keras.optimizers.SGD(
        rate, momentum=recipe.momentum, nesterov=recipe.nesterov, weight_decay=recipe.weight_decay or None
    ),
    "muon": lambda recipe, rate: Muon(
        rate,
        kernel_ratio=recipe.kernel_rate / recipe.learning_rate,
        kernel_momentum=recipe.kernel_momentum,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay or None,
    ),
}


def make_optimizer(recipe: Recipe, net: keras.Model, rates: Any | None) -> keras.optimizers.Optimizer:
    """The optimizer of `recipe` for `net`: weight decay acts on kernels only, never on biases and normalisation.

    Args:
        recipe: its fields optimizer, learning_rate, momentum, nesterov and weight_decay.
        net: whose weights it moves.
        rates: the learning rate of every step, or None for one that stays or that somebody else moves.
    """
    optimizer = OPTIMIZERS[recipe.optimizer](recipe, recipe.learning_rate if rates is None else StepTable(rates))
    if optimizer.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in net.trainable_variables if len(v.shape) < 2])
    return optimizer
