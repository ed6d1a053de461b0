"""The model that is saved and shipped: raw pixels in, probabilities out. Scaling lives in here and nowhere else."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tinysight.recipe import Recipe, Scaling

# Scaling -> (factor, offset) applied to raw pixels 0..255.
SCALINGS: dict[Scaling, tuple[float, float]] = {
    "0..1": (1 / 255, 0.0),
    "-0.5..0.5": (1 / 255, -0.5),
    "-1..1": (1 / 127.5, -1.0),
    "none": (1.0, 0.0),
}


def scaling_layer(scaling: Scaling) -> layers.Rescaling:
    """uint8 pixels 0..255 to float32 in the range that the net was trained on."""
    factor, offset = SCALINGS[scaling]
    return layers.Rescaling(factor, offset, name="scaling")


def gives_probabilities(net: keras.Model) -> bool:
    """Whether the outputs of `net` are probabilities and not logits.

    Told by what comes out: a softmax may stand in a layer, in an operation or inside a class of the user's own.
    """
    noise = np.random.default_rng(0).normal(size=(8, *net.input_shape[1:])).astype(np.float32)
    outputs = ops.convert_to_numpy(net(noise, training=False))
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=-1), 1, atol=1e-3))


def shift(images: Any, rows: int, columns: int) -> Any:
    """Images moved by some pixels, the border filled by mirroring: (n, height, width, channels), same shape and dtype.

    Made of what Keras itself saves and loads.

    Args:
        images: a tensor, or one of a model that is being built.
        rows: pixels downwards; negative upwards.
        columns: pixels to the right; negative to the left.
    """
    reach = max(abs(rows), abs(columns))
    padded = ops.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    cropping = ((reach - rows, reach + rows), (reach - columns, reach + columns))
    return layers.Cropping2D(cropping, data_format="channels_last")(padded)


def serving_model(
    net: keras.Model,
    scaling: Scaling,
    input_shape: tuple[int, int, int],
    *,
    flip_predictions: bool = False,
    shift_predictions: int = 0,
) -> keras.Model:
    """The net with everything around it that must not be lost.

    Args:
        net: scaled images in, probabilities or logits out.
        scaling: what raw pixels are turned into.
        input_shape: (height, width, channels).
        flip_predictions: whether to average the probabilities of image and mirror image.
        shift_predictions: by how many pixels the image is moved up and left, and down and right, to average over those
            two, too, with half of the weight; 0 for not at all. Source: airbench, https://arxiv.org/abs/2404.00498.

    Returns:
        A functional model, uint8 (n, height, width, channels) to float32 (n, num_classes) probabilities. It shares the
        net's weights.
    """
    pixels = keras.Input(input_shape, dtype="uint8", name="pixels")
    views = _views(scaling_layer(scaling)(pixels), flip_predictions, shift_predictions)
    outputs = net(views[0] if len(views) == 1 else ops.concatenate(views, axis=0))
    probabilities = outputs if gives_probabilities(net) else layers.Softmax(name="probabilities")(outputs)
    if len(views) > 1:
        # The net stands in the model once: converters to other formats would hold its weights once for each view.
        of_views = ops.reshape(probabilities, (len(views), -1, probabilities.shape[-1]))
        if shift_predictions:
            in_place, shifted = ops.split(of_views, [1 + flip_predictions], axis=0)
            probabilities = layers.Average()([ops.mean(in_place, axis=0), ops.mean(shifted, axis=0)])
        else:
            probabilities = ops.mean(of_views, axis=0)
    return keras.Model(pixels, probabilities, name="tinysight")


def _views(images: Any, flip: bool, shifted_by: int) -> list[Any]:
    """The images in their place, themselves first, then the shifted ones."""
    views = [images, ops.flip(images, axis=2)] if flip else [images]
    places = (-shifted_by, shifted_by) if shifted_by else ()
    return views + [shift(view, place, place) for place in places for view in views]


def serving_model_of(net: keras.Model, recipe: Recipe, input_shape: tuple[int, int, int]) -> keras.Model:
    """`serving_model` with what `recipe` says about scaling and averaged views."""
    return serving_model(
        net,
        recipe.scaling,
        input_shape,
        flip_predictions=recipe.flip_predictions,
        shift_predictions=recipe.shift_predictions,
    )
