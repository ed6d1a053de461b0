"""Nets made for small images and small machines: a frozen whitening stem, then groups of pooling and convolution."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.models.fused import FusedBatchNormalization
from tinysight.models.in_parts import InParts, count_parts
from tinysight.models.packed import PackedConv2D
from tinysight.models.walk import leaf_layers
from tinysight.recipe import Recipe

WHITENING = "whitening"
# Added to the eigenvalues of scaled patches, so that directions of nearly no variance are not blown up into noise.
WHITENING_EPSILON = 1e-4
MAX_PATCHES = 200_000


def build_fast(
    recipe: Recipe, input_shape: tuple[int, int, int], num_classes: int, *, training: bool = False
) -> keras.Model:
    """Whitening stem, then for each width a group: max-pooling, convolutions, batch normalisation, ReLU.

    Pooling comes before the first convolution of a group, for a quarter of the arithmetic, or after it, for accuracy.
    The first layer is frozen; `adapt` fills it from training images. Source: Jordan, 94 % on CIFAR-10 in 3.29 seconds,
    2024, https://arxiv.org/abs/2404.00498, and Page, How to train your ResNet, 2018-2019; changed for processors.

    Args:
        recipe: its fields stem_*, widths, group_*, residual, logit_scale and batchnorm_momentum.
        input_shape: (height, width, channels) of the scaled images, float32.
        num_classes: how many logits come out, float32 (n, num_classes).
        training: whether to use layers that are quicker to train, with first numbers from which they learn well; the
            weights are the same ones. Without, the net is made of what Keras itself saves and loads.

    Raises:
        InvalidValueError: when the image is too small for the groups.
    """
    images = keras.Input(input_shape, name="images")
    num_filters = min(recipe.stem_filters, recipe.stem_kernel**2 * input_shape[2])
    whitening = layers.Conv2D(
        2 * num_filters,
        recipe.stem_kernel,
        strides=recipe.stem_strides,
        padding=recipe.stem_padding,
        use_bias=False,
        trainable=False,
        name=WHITENING,
    )
    before, outputs = [whitening, layers.ReLU()], images
    for width in recipe.widths:
        outputs, before = _group(outputs, width, recipe, training, before)
    outputs = layers.GlobalMaxPooling2D()(_apply(before, outputs))
    # Logits are float32 whatever the layers before them compute in.
    initializer = _small_head if training else "he_uniform"
    logits = layers.Dense(num_classes, use_bias=False, kernel_initializer=initializer, dtype="float32")(outputs)
    scaled = layers.Rescaling(recipe.logit_scale, name="logits", dtype="float32")(logits)
    return keras.Model(images, scaled, name="fast")


def _group(
    inputs: Any, width: int, recipe: Recipe, training: bool, before: list[keras.Layer]
) -> tuple[Any, list[keras.Layer]]:
    """A group of layers after those of `before`: what comes out, and the layers that are still to follow.

    What follows are the last normalisation and ReLU, as a wide net computes them again together with what they go into.
    """
    shape = _shape_after(before, inputs.shape)
    if min(shape[1:3]) < 2:
        raise InvalidValueError(
            f"{len(recipe.widths)} widths shrink the image to nothing; use fewer, stem_strides=1 or larger images"
        )
    convolution = PackedConv2D if training else layers.Conv2D
    normalization = FusedBatchNormalization if training else layers.BatchNormalization
    initializer = _identity_leaning if training else "he_uniform"

    def convolve() -> keras.Layer:
        return convolution(width, 3, padding="same", use_bias=False, kernel_initializer=initializer)

    num_parts = _count_parts(recipe, (*shape[1:3], width)) if training else 1
    first = [convolve(), layers.MaxPooling2D()]
    outputs = _apply(_first_of(before, first if recipe.group_pooling == "after" else first[::-1], num_parts), inputs)
    before = []
    for place in range(recipe.group_convolutions):
        is_joined = recipe.residual and place > 0 and place == recipe.group_convolutions - 1
        if is_joined:
            outputs, before = _apply(before, outputs), []
        entry = outputs
        if place > 0:
            chain = [*before, convolve()]
            outputs = _apply([InParts(chain, 1)] if before and num_parts > 1 else chain, outputs)
        before = [normalization(momentum=recipe.batchnorm_momentum, epsilon=1e-5, scale=False), layers.ReLU()]
        if is_joined:
            outputs = layers.Add()([before.pop(0)(outputs), entry])
    return outputs, before


def _count_parts(recipe: Recipe, values: tuple[int, ...]) -> int:
    """In how many parts a batch goes through a group's first layers, which pool `values` of each image."""
    if recipe.group_pooling == "before":
        return 1
    images_at_once = min(recipe.batch_size, recipe.micro_batch_size or recipe.batch_size)
    return count_parts(images_at_once, values, 2 if keras.config.dtype_policy().compute_dtype == "bfloat16" else 4)


def _first_of(before: list[keras.Layer], first: list[keras.Layer], num_parts: int) -> list[keras.Layer]:
    """A group's first layers; normalisation sees the whole batch, what else there is only parts of it."""
    if num_parts == 1:
        return [*before, *first]
    if any(isinstance(layer, layers.BatchNormalization) for layer in before):
        return [InParts([*before, InParts(first, num_parts)], 1)]
    return [InParts([*before, *first], num_parts)]


def _apply(chain: list[keras.Layer], inputs: Any) -> Any:
    for layer in chain:
        inputs = layer(inputs)
    return inputs


def _shape_after(chain: list[keras.Layer], shape: tuple[Any, ...]) -> tuple[Any, ...]:
    for layer in chain:
        shape = layer.compute_output_shape(shape)
    return shape


def _identity_leaning(shape: tuple[int, ...], dtype: Any = None) -> Any:
    """He's uniform initialisation, whose first filters pass their channel on (partial identity)."""
    height, width, inputs, filters = shape
    kernel = np.array(keras.initializers.HeUniform(seed=keras.random.SeedGenerator())(shape, dtype))
    shared = min(inputs, filters)
    kernel[..., :shared] = 0
    kernel[height // 2, width // 2, np.arange(shared), np.arange(shared)] = 1
    return kernel


def _small_head(shape: tuple[int, ...], dtype: Any = None) -> Any:
    return keras.initializers.HeUniform(seed=keras.random.SeedGenerator())(shape, dtype)


def adapt(net: keras.Model, images: NDArray[np.uint8], factor: float, offset: float) -> None:
    """Fills the whitening layer of `net`, if it has one, from the patches of training images.

    Args:
        net: any net; one without a layer called "whitening" is left as it is.
        images: raw pixels, uint8, shape (n, height, width, channels); a few thousand are enough.
        factor: what the net multiplies pixels by, before it adds `offset`.
        offset: see `factor`.
    """
    found = [layer for layer in leaf_layers(net) if layer.name == WHITENING]
    for layer in found:
        layer.set_weights([whitening_kernel(images, layer.kernel_size[0], layer.filters // 2, factor, offset)])


def whitening_kernel(
    images: NDArray[np.uint8] | NDArray[np.float32],
    size: int,
    num_filters: int,
    factor: float = 1.0,
    offset: float = 0.0,
) -> NDArray[np.float32]:
    """The directions in which patches vary most, each scaled to variance one, and their negatives.

    Args:
        images: shape (n, height, width, channels).
        size: height and width of a patch.
        num_filters: how many directions, by falling variance; at most size * size * channels.
        factor: what pixels are multiplied by, in float32, before `offset` is added.
        offset: see `factor`.

    Returns:
        float32, shape (size, size, channels, 2 * num_filters).
    """
    channels = images.shape[3]
    patches = _patches(images, size).astype(np.float32) * np.float32(factor) + np.float32(offset)
    covariance = patches.T @ patches / len(patches)
    variances, directions = np.linalg.eigh(covariance.astype(np.float64))
    order = np.argsort(variances)[::-1][:num_filters]
    filters = directions[:, order] / np.sqrt(variances[order] + WHITENING_EPSILON)
    kernel = filters.reshape(size, size, channels, num_filters).astype(np.float32)
    return np.concatenate([kernel, -kernel], axis=3)


def _patches(images: NDArray[Any], size: int) -> NDArray[Any]:
    """At least MAX_PATCHES patches, or all, at even distances: shape (n, size * size * channels), dtype of the images.

    All of them together, or the images in float32, would take many times the memory of the images.
    """
    num_images, height, width, channels = images.shape
    places = (num_images, height - size + 1, width - size + 1)
    num_places = math.prod(places)
    image, row, column = np.unravel_index(np.arange(0, num_places, max(1, num_places // MAX_PATCHES)), places)
    patches = np.empty((len(image), size, size, channels), images.dtype)
    for down in range(size):
        for right in range(size):
            patches[:, down, right] = images[image, row + down, column + right]
    return patches.reshape(len(image), -1)
