"""Keras's optimizers by their names in a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tinysight.recipe import Recipe
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
    # Keras's Muon moves matrices; convolutions and biases are Adam's, with a decay of their own that is not 0.
    "muon": lambda recipe, rate: keras.optimizers.Muon(
        rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        adam_weight_decay=recipe.weight_decay,
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
