"""Nets by name, and the way from a recipe to a net."""

from __future__ import annotations

from collections.abc import Callable

import keras

from tinysight.errors import UnknownNameError
from tinysight.models.cnn import build_cnn
from tinysight.models.fast import build_fast
from tinysight.models.own import build_own, is_own_model
from tinysight.models.precision import POLICIES, resolve_precision
from tinysight.recipe import Recipe

# A net takes scaled images, float32 (n, height, width, channels), and gives (n, num_classes).
MODELS: dict[str, Callable[[Recipe, tuple[int, int, int], int], keras.Model]] = {
    "cnn": build_cnn,
    "fast": build_fast,
}


def build_net(recipe: Recipe, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """The net of `recipe` for images of `input_shape`: shipped, or the user's own.

    Raises:
        UnknownNameError: for a model that is neither; names the closest one.
        ModelError: when the user's own function fails or its model does not fit the data.
        InvalidValueError: when the recipe's layers do not fit the data.
    """
    if is_own_model(recipe.model):
        return build_own(recipe.model, input_shape, num_classes)
    if recipe.model not in MODELS:
        raise UnknownNameError("model", recipe.model, [*MODELS, "path/to/file.py:function"])
    return MODELS[recipe.model](recipe, input_shape, num_classes)


def build_training_net(recipe: Recipe, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """The net as it is trained: it computes in the precision of `recipe`; its weights are float32.

    Raises:
        TinysightError: as `build_net`.
    """
    kept = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[resolve_precision(recipe).precision])
    try:
        if recipe.model == "fast":
            return build_fast(recipe, input_shape, num_classes, training=True)
        return build_net(recipe, input_shape, num_classes)
    finally:
        keras.config.set_dtype_policy(kept)


def as_saved(net: keras.Model, recipe: Recipe, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """A trained net as it is saved and exported: Keras's own layers, all of it float32, the same weights."""
    if recipe.model != "fast" and recipe.precision == "float32":
        return net
    saved = build_net(recipe, input_shape, num_classes)
    saved.set_weights(net.get_weights())
    return saved
