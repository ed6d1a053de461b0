"""What a net looks at: heat maps of single images, the maps of every layer, the windows of the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.evaluation.geometry import stretch
from tinysight.evaluation.gradients import gradient
from tinysight.evaluation.taps import feature_layers, last_feature_map, replaced_call, tap
from tinysight.models.walk import leaf_layers

HIRESCAM, INPUT_GRADIENT = "HiResCAM", "input gradient"
_WORDS = {
    HIRESCAM: "bright where the net found what speaks for its answer, by its map '{layer}' of {rows} x {columns} cells",
    INPUT_GRADIENT: "bright where a small change of a pixel would change the answer most: this net has no feature map",
}
BATCH_SIZE = 64
# Below this a float32 probability has underflowed, and its logarithm is none.
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """What speaks for one class in each image.

    Attributes:
        maps: float32, shape (n, height, width), 0..1: the largest value of a map is 1, unless nothing speaks for the
            class, when all are 0.
        classes: int64, shape (n,), the classes explained.
        method: "HiResCAM", or "input gradient" for a net without a feature map.
        layer: the layer whose maps were used; that of the pixels for "input gradient".
        map_shape: (rows, columns) of that layer's maps.
        words: one line for a person: how to read them.
    """

    maps: NDArray[np.float32]
    classes: NDArray[np.int64]
    method: str
    layer: str
    map_shape: tuple[int, int]
    words: str


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """What one layer makes of an image.

    Attributes:
        layer: its name.
        kind: its class, as in "Conv2D".
        values: float32, shape (rows, columns, channels).
    """

    layer: str
    kind: str
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Kernels:
    """The windows of the first convolution.

    Attributes:
        layer: its name.
        pictures: uint8, shape (filters, height, width, channels), channels 1 or 3; 128 is weight 0, and the largest
            weight of the layer, up or down, is 255 or 1.
    """

    layer: str
    pictures: NDArray[np.uint8]


def heat_maps(
    model: keras.Model,
    images: NDArray[np.uint8],
    classes: NDArray[np.integer] | None = None,
    *,
    batch_size: int = BATCH_SIZE,
) -> HeatMaps:
    """Which parts of each image speak for a class, by HiResCAM on the last feature map that is fine enough.

    A cell's heat is the sum over channels of gradient times activation, and nothing where that speaks against the
    class: HiResCAM, Draelos and Carin 2020, arXiv 2011.08891. Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391)
    averages the gradient over all cells first, which is the same thing only where a net averages its last map. The nets
    of tutorials flatten it, and give each cell weights of its own; there Grad-CAM shows cells that the net did not use,
    as the former paper proves. Centres of cells come from the windows' arithmetic (`geometry`), not from stretching.

    The score is the class's logit less the mean of all logits, log(p) less the mean of log(p): softmax forgets nothing
    else, so this works on a model that gives probabilities. Where there is no feature map (a net without convolution),
    the map is the size of the score's gradient at each pixel: Simonyan, Vedaldi, Zisserman 2013, arXiv 1312.6034.

    Args:
        model: uint8 pixels (n, height, width, channels) to probabilities (n, classes); models may be nested in it.
        images: uint8, shape (n, height, width, channels), n at least 1.
        classes: integers, shape (n,), which class to explain; None for the predicted one.
        batch_size: how many go through the model at once.

    Raises:
        InvalidValueError: when images or classes do not fit the model.
    """
    _check_images(images)
    tapped = tap(model, images[:1])
    found = last_feature_map(tapped)
    target = found or _pixel_layer(tapped)
    method = INPUT_GRADIENT if found is None else HIRESCAM
    chosen = _chosen_classes(model, images, classes, batch_size)
    rows, columns = (int(length) for length in target.output.shape[1:3])
    maps = np.empty((len(images), *images.shape[1:3]), np.float32)
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        slopes, values = _gradient_at(model, target.layer, images[part], chosen[part], target.output.shape[1:])
        heat = _HEAT[method](slopes, values)
        maps[part] = _to_unit(stretch(heat, target.axes, (images.shape[1], images.shape[2])))
    words = _WORDS[method].format(layer=target.layer.name, rows=rows, columns=columns)
    return HeatMaps(maps, chosen, method, target.layer.name, (rows, columns), words)


def _check_images(images: NDArray[np.uint8]) -> None:
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
        raise InvalidValueError(
            f"images are {images.dtype} of shape {images.shape};"
            " expected uint8 of shape (n, height, width, channels), at least one"
        )


def _chosen_classes(
    model: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.integer] | None, batch_size: int
) -> NDArray[np.int64]:
    num_classes = int(model.output_shape[-1])
    if classes is None:
        rows = [
            ops.convert_to_numpy(model(images[start : start + batch_size], training=False))
            for start in range(0, len(images), batch_size)
        ]
        return np.asarray(np.concatenate(rows).argmax(axis=1), np.int64)
    chosen = np.asarray(classes)
    if chosen.shape != (len(images),) or chosen.dtype.kind not in "iu":
        raise InvalidValueError(
            f"classes have shape {chosen.shape} for {len(images)} images; expected one integer each"
        )
    if not 0 <= int(chosen.min()) <= int(chosen.max()) < num_classes:
        raise InvalidValueError(f"classes run from {chosen.min()} to {chosen.max()}; expected 0 to {num_classes - 1}")
    return chosen.astype(np.int64)


def _pixel_layer(tapped: list[Any]) -> Any:
    """The first layer that gives the image as numbers that can be differed by: the scaling."""
    for item in tapped:
        if "float" in keras.backend.standardize_dtype(item.output.dtype):
            return item
    raise InvalidValueError("the model has no layer that gives an image or a map; expected pixels, scaling, net")


def _gradient_at(
    model: keras.Model, layer: keras.Layer, images: NDArray[np.uint8], classes: NDArray[np.int64], shape: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(gradient of the score by the layer's output, that output), float32, shape (n, rows, columns, channels).

    A zero is added to the output, and the score is differed by that zero: this needs no cut through the model.
    """
    pixels = ops.convert_to_tensor(images)
    wanted = ops.convert_to_tensor(np.eye(int(model.output_shape[-1]), dtype=np.float32)[classes])

    def scored(zero: Any) -> tuple[Any, Any]:
        outputs: list[Any] = []

        def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
            def shifted(*inputs: Any, **options: Any) -> Any:
                output = call(*inputs, **options)
                # A model that looks at several views of an image puts them into one batch, the images themselves first.
                # A layer that a net calls several times is explained where it is called first.
                if outputs:
                    return output
                outputs.append(output[: len(images)] + ops.cast(zero, output.dtype))
                return ops.concatenate([outputs[0], output[len(images) :]], axis=0)

            return shifted

        with replaced_call(layer, wrap):
            probabilities = ops.cast(model(pixels, training=False), "float32")
        logs = ops.log(ops.maximum(probabilities, _TINY))
        score = ops.sum(wanted * (logs - ops.mean(logs, axis=1, keepdims=True)))
        return score, outputs[0]

    return gradient(scored, np.zeros((len(images), *(int(length) for length in shape)), np.float32))


def _supporting(slopes: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.maximum((slopes * values).sum(axis=3), 0))


def _steepest(slopes: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.abs(slopes).max(axis=3))


_HEAT: dict[str, Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]] = {
    HIRESCAM: _supporting,
    INPUT_GRADIENT: _steepest,
}


def _to_unit(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    largest = maps.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0))


def feature_maps(model: keras.Model, image: NDArray[np.uint8]) -> list[FeatureMap]:
    """What every layer makes of one image, in the net's order, from the first convolution on.

    Args:
        model: uint8 pixels in.
        image: uint8, shape (height, width, channels).

    Returns:
        A record for each layer that gives maps; empty for a net without convolution.
    """
    _check_images(image[np.newaxis])
    return [
        FeatureMap(
            item.layer.name,
            type(item.layer).__name__,
            np.asarray(ops.convert_to_numpy(item.output), np.float32)[0],
        )
        for item in feature_layers(tap(model, image[np.newaxis]))
    ]


def first_layer_kernels(model: keras.Model) -> Kernels | None:
    """The windows of the first layer that looks at the image's channels, as pictures; None for a net without one."""
    for layer in leaf_layers(model):
        kernel = getattr(layer, "kernel", None)
        if kernel is None or len(kernel.shape) != 4 or kernel.shape[2] not in (1, 3):
            continue
        weights = np.asarray(kernel.numpy(), np.float32).transpose(3, 0, 1, 2)
        largest = float(np.abs(weights).max()) or 1.0
        return Kernels(layer.name, np.rint(128 + 127 * weights / largest).astype(np.uint8))
    return None
