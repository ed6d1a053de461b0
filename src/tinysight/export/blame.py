"""Which layer of a model a format cannot express: found by converting one after the other alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tinysight.errors import ModelError


def guilty_layer(model: keras.Model, convert: Callable[[keras.Model], None]) -> tuple[Any, str] | None:
    """The first layer, or operation of `keras.ops`, that does not convert by itself.

    Args:
        model: a model that did not convert.
        convert: raises ModelError for a model that it cannot convert.

    Returns:
        The layer, innermost where nets lie in nets, and why; None when each converts alone.
    """
    for part in getattr(model, "operations", None) or model.layers:
        alone = None if isinstance(part, keras.layers.InputLayer) else _alone(part)
        if alone is None:
            continue
        try:
            convert(alone)
        except ModelError as error:
            inner = guilty_layer(part, convert) if isinstance(part, keras.Model) else None
            return inner or (part, str(error))
    return None


def _alone(part: Any) -> keras.Model | None:
    """A model of this layer only, with new weights; None where it does not stand alone, and so cannot be judged."""
    try:
        before = part.inputs if isinstance(part, keras.Model) else part.input
        if isinstance(before, list) and len(before) == 1:
            (before,) = before
        if any(None in tensor.shape[1:] for tensor in keras.tree.flatten(before)):
            # Of images of any size nothing can be said, and of views in one batch neither.
            return None
        inputs = keras.tree.map_structure(lambda tensor: keras.Input(tensor.shape[1:], dtype=tensor.dtype), before)
        # A copy: calling the layer itself once more would leave it with two inputs, of which none is "the" input.
        outputs = type(part).from_config(part.get_config())(inputs)
        flat = keras.tree.flatten(inputs)
        return keras.Model(flat[0] if len(flat) == 1 else flat, outputs)
    except Exception:
        return None
