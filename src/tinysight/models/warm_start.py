"""Weights of a trained net for a new one: layers that fit are taken over, classes are matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import keras

from tinysight.errors import ModelError
from tinysight.models.registry import build_net
from tinysight.models.serving import serving_model_of
from tinysight.recipe import Recipe
from tinysight.runs import Run


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a new net took over.

    Attributes:
        layers: the layers that were taken whole, by their names in the new net.
        new_layers: those that keep the numbers they were drawn with; the head is among them unless all classes are the
            same, in the same order.
        classes: of those whose weights in a new head were taken, as the trained net knows them.
    """

    layers: tuple[str, ...]
    new_layers: tuple[str, ...]
    classes: tuple[str, ...]


def trained_net(run: Run, recipe: Recipe, image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """The net of a finished run with its weights, as it was trained: without what was put around it afterwards.

    The net is built anew from the recipe, so that no code from a model file is run.

    Raises:
        ModelError: when the recipe's net is no longer that of the file.
    """
    net = build_net(recipe, image_shape, num_classes)
    around = serving_model_of(net, recipe, image_shape)
    path = (run.uncalibrated if run.uncalibrated.keras_model.is_file() else run).keras_model
    try:
        around.load_weights(path)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the weights in {path} are not those of the net in {run.recipe}: {' '.join(str(error).split())[:200]}"
        ) from None
    return net


def take_over(
    net: keras.Model, trained: keras.Model, class_names: Sequence[str], trained_names: Sequence[str]
) -> Taken:
    """Puts the weights of `trained` into the layers of `net` that stand at the same place and have the same shapes.

    Args:
        net: the new net, changed in place.
        trained: scaled images to an output for each of `trained_names`.
        class_names: what the outputs of `net` stand for.
        trained_names: what those of `trained` stand for.

    Raises:
        ModelError: when no layer fits.
    """
    ours, theirs = _layers(net), _layers(trained)
    taken, new = [], []
    kept: tuple[str, ...] = ()
    for place, (name, weights) in enumerate(ours):
        # A head has an output for each class; that of the trained net stands at the end, too.
        if place == len(ours) - 1 and list(class_names) != list(trained_names):
            kept = _take_classes(weights, theirs[-1][1], class_names, trained_names)
            new.append(name)
            continue
        source = theirs[place][1] if place < len(theirs) else []
        if [tuple(weight.shape) for weight in weights] == [tuple(weight.shape) for weight in source]:
            for weight, value in zip(weights, source, strict=True):
                weight.assign(value)
            taken.append(name)
        else:
            new.append(name)
    if not taken:
        raise ModelError("no layer of the trained net has the shape of the new one's: train without --from")
    return Taken(layers=tuple(taken), new_layers=tuple(new), classes=kept)


def _layers(net: keras.Model) -> list[tuple[str, list[Any]]]:
    """Each layer that has weights, with them, in the order in which they were made."""
    parents = groupby(net.weights, key=lambda weight: weight.path.rpartition("/")[0])
    return [(parent.rpartition("/")[2], list(weights)) for parent, weights in parents]


def _take_classes(
    weights: list[Any], trained: list[Any], class_names: Sequence[str], trained_names: Sequence[str]
) -> tuple[str, ...]:
    """Takes what belongs to classes of the same name; returns these."""
    shared = [name for name in class_names if name in trained_names]
    if not shared or not all(_fits(*pair) for pair in zip(weights, trained, strict=False)):
        return ()
    if len(weights) != len(trained):
        return ()
    to, source = [class_names.index(name) for name in shared], [trained_names.index(name) for name in shared]
    for weight, other in zip(weights, trained, strict=True):
        value = keras.ops.convert_to_numpy(weight).copy()
        value[..., to] = keras.ops.convert_to_numpy(other)[..., source]
        weight.assign(value)
    return tuple(shared)


def _fits(weight: Any, other: Any) -> bool:
    return tuple(weight.shape[:-1]) == tuple(other.shape[:-1])
