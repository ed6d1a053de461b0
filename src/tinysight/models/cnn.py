"""The plain CNN of the tutorials: its layers are words in the recipe, so that changing one word changes the net."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from tinysight.errors import InvalidValueError, UnknownNameError
from tinysight.models.layers import Maxout, SumPooling2D
from tinysight.recipe import Recipe


def build_cnn(recipe: Recipe, input_shape: tuple[int, int, int], num_classes: int) -> keras.Sequential:
    """The net that `recipe.layers` spells, with a softmax over the classes at its end.

    Args:
        recipe: its layers are `conv FILTERS`, `pool`, `dropout [RATE]`, `batchnorm`, `flatten`, `dense UNITS`; the
            fields activation, kernel_size, strides, padding, pooling, pool_size and dropout hold for all of them.
        input_shape: (height, width, channels) of the scaled images, float32.
        num_classes: how many probabilities come out, float32 (n, num_classes).

    Raises:
        InvalidValueError: for a layer that is not understood, or a net that shrinks the image to nothing.
    """
    model = keras.Sequential([keras.Input(input_shape)], name=_scope_name(recipe.name))
    # Kept beside the model, which knows no shape before its first layer and after one that did not fit.
    shape: tuple[int, ...] = input_shape
    for number, word in enumerate(recipe.layers, start=1):
        try:
            shape = _append(model, word, recipe, shape)
        except ValueError:
            hint = (
                "put it before 'flatten' and 'dense', which leave no image"
                if len(shape) == 1
                else "use padding=same, fewer 'pool' or larger images"
            )
            raise InvalidValueError(
                f"layer {number}, '{word}', does not fit an input of shape {shape}: {hint}"
            ) from None
    if len(shape) > 1:
        model.add(layers.Flatten())
    model.add(layers.Dense(num_classes, activation="softmax"))
    return model


def _scope_name(name: str) -> str:
    """`name` as TensorFlow takes it for a scope: letters, digits and underscores, and a letter first."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return plain if plain[:1].isalpha() else f"net_{plain}"


def _append(model: keras.Sequential, word: str, recipe: Recipe, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Adds the layers of `word` to a model whose outputs have `shape`; returns their new shape, both without batch."""
    kind, _, argument = word.strip().partition(" ")
    if kind not in _KINDS:
        raise UnknownNameError("layer", kind, _KINDS)
    for layer in _KINDS[kind](recipe, argument.strip(), word):
        if isinstance(layer, layers.Dense) and len(shape) > 1:
            model.add(layers.Flatten())
        model.add(layer)
        shape = tuple(model.output_shape[1:])
    return shape


def _conv(recipe: Recipe, argument: str, word: str) -> list[keras.Layer]:
    filters = _count(argument, word, "filters, as in 'conv 32'")

    def convolution(filters: int, activation: str | None) -> keras.Layer:
        return layers.Conv2D(
            filters, recipe.kernel_size, strides=recipe.strides, padding=recipe.padding, activation=activation
        )

    return _activated(recipe, convolution, filters)


def _dense(recipe: Recipe, argument: str, word: str) -> list[keras.Layer]:
    units = _count(argument, word, "units, as in 'dense 64'")
    return _activated(recipe, lambda units, activation: layers.Dense(units, activation=activation), units)


def _activated(recipe: Recipe, make: Callable[[int, str | None], keras.Layer], size: int) -> list[keras.Layer]:
    if recipe.activation == "maxout":
        return [make(size * recipe.maxout_pieces, None), Maxout(recipe.maxout_pieces)]
    if recipe.activation == "leaky_relu":
        return [make(size, None), layers.LeakyReLU(negative_slope=recipe.leaky_slope)]
    return [make(size, recipe.activation)]


def _pool(recipe: Recipe, argument: str, word: str) -> list[keras.Layer]:
    _no_argument(argument, word)
    kinds: dict[str, Any] = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D, "sum": SumPooling2D}
    return [kinds[recipe.pooling](recipe.pool_size)]


def _dropout(recipe: Recipe, argument: str, word: str) -> list[keras.Layer]:
    try:
        rate = float(argument) if argument else recipe.dropout
    except ValueError:
        rate = -1.0
    if not 0 <= rate < 1:
        raise InvalidValueError(f"layer '{word}': expected a rate from 0 up to 1, as in 'dropout 0.5'")
    return [layers.Dropout(rate)]


def _flatten(_: Recipe, argument: str, word: str) -> list[keras.Layer]:
    _no_argument(argument, word)
    return [layers.Flatten()]


def _batchnorm(_: Recipe, argument: str, word: str) -> list[keras.Layer]:
    _no_argument(argument, word)
    return [layers.BatchNormalization()]


def _count(argument: str, word: str, expected: str) -> int:
    if not argument.isdecimal() or not 0 < int(argument) <= 65536:
        raise InvalidValueError(f"layer '{word}': expected a number of {expected}")
    return int(argument)


def _no_argument(argument: str, word: str) -> None:
    if argument:
        raise InvalidValueError(f"layer '{word}': '{word.split()[0]}' takes no number here; use the recipe's fields")


_KINDS: dict[str, Callable[[Recipe, str, str], list[keras.Layer]]] = {
    "conv": _conv,
    "pool": _pool,
    "dropout": _dropout,
    "batchnorm": _batchnorm,
    "flatten": _flatten,
    "dense": _dense,
}
