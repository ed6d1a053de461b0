"""What every layer of a net gives while an image passes through, whatever way the net was put together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from tinysight.evaluation.geometry import Axes, Axis, axes_after
from tinysight.models.walk import leaf_layers

# A map with fewer cells a side says no more than "somewhere in the middle".
SMALLEST_SIDE = 4


@dataclass(frozen=True, eq=False)
class Tapped:
    """A layer that gives maps.

    Attributes:
        layer: the layer, the first time that it is called.
        output: its output, shape (n, rows, columns, channels), a tensor of the backend.
        axes: where in the image its cells are centred.
    """

    layer: keras.Layer
    output: Any
    axes: Axes

    @property
    def side(self) -> int:
        """The shorter side of its maps, cells."""
        return min(int(length) for length in self.output.shape[1:3])


@contextlib.contextmanager
def replaced_call(layer: keras.Layer, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """While the block runs, `layer` computes `wrap(what it computes)`.

    Keras has no hooks on layers, and a functional model cannot be cut open at a tensor that lies within a nested one.
    """
    layer.call = wrap(layer.call)
    try:
        yield
    finally:
        del layer.call


def tap(model: keras.Model, images: NDArray[np.uint8]) -> list[Tapped]:
    """The layers that give maps, in the order in which they are called.

    Args:
        model: raw pixels in.
        images: uint8, shape (n, height, width, channels).
    """
    tapped: list[Tapped] = []
    seen: set[int] = set()
    pixels = ops.convert_to_tensor(images)
    whole = (Axis(), Axis())
    # Tensor by its identity -> the cells' centres; tensors stay alive in `kept`, so that no identity is used twice.
    axes: dict[int, Axes] = {id(pixels): whole}
    kept: list[Any] = [pixels]

    def watch(layer: keras.Layer) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
            def watched(*inputs: Any, **options: Any) -> Any:
                output = call(*inputs, **options)
                first = _first_tensor(inputs)
                if _is_map(output) and _is_map(first):
                    place = axes_after(layer, axes.get(id(first), whole), first.shape, output.shape)
                    axes[id(output)] = place
                    kept.append(output)
                    if id(layer) not in seen:
                        tapped.append(Tapped(layer, output, place))
                seen.add(id(layer))
                return output

            return watched

        return wrap

    with contextlib.ExitStack() as stack:
        for layer in leaf_layers(model):
            if not isinstance(layer, layers.InputLayer):
                stack.enter_context(replaced_call(layer, watch(layer)))
        model(pixels, training=False)
    return tapped


def _first_tensor(inputs: tuple[Any, ...]) -> Any:
    first = inputs[0] if inputs else None
    return first[0] if isinstance(first, list | tuple) and first else first


def _is_map(value: Any) -> bool:
    return len(getattr(value, "shape", ())) == 4


def feature_layers(tapped: list[Tapped]) -> list[Tapped]:
    """Those from the first layer on that looks at neighbouring pixels: what comes before is the image itself."""
    for number, item in enumerate(tapped):
        if any(len(weight.shape) == 4 for weight in item.layer.weights):
            return tapped[number:]
    return []


def last_feature_map(tapped: list[Tapped]) -> Tapped | None:
    """The last map with at least `SMALLEST_SIDE` cells a side, else the last of the largest; None without any.

    Dropout gives its input when a net predicts, and is passed over.
    """
    found = [item for item in feature_layers(tapped) if not isinstance(item.layer, layers.Dropout)]
    if not found:
        return None
    wanted = min(SMALLEST_SIDE, max(item.side for item in found))
    return [item for item in found if item.side >= wanted][-1]
