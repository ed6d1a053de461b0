"""Augmentation as a Keras layer inside the compiled step: for training only, never part of a saved model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tinysight.errors import InvalidValueError
from tinysight.recipe import Recipe


def check_augmentation(recipe: Recipe, image_shape: tuple[int, int, int]) -> None:
    """Whether shifts and blanked squares leave something of images of `image_shape` (height, width, channels).

    Raises:
        InvalidValueError: when they do not.
    """
    side = min(image_shape[:2])
    for key in ("translate", "cutout"):
        if getattr(recipe, key) >= side:
            height, width, _ = image_shape
            raise InvalidValueError(
                f"{key}={getattr(recipe, key)} leaves nothing of images of {height}x{width}; expected less than {side}"
            )


def resolve_flip(recipe: Recipe, class_names: Sequence[str]) -> Recipe:
    """The recipe with flip=auto replaced by what fits the classes: a mirrored character is another one, or none.

    Args:
        recipe: where its flip becomes "none", its flip_predictions become false.
        class_names: characters are told by their names, which are then one letter or digit each.
    """
    if recipe.flip != "auto":
        return recipe
    if all(len(name) == 1 and name.isalnum() for name in class_names):
        return recipe.replace(flip="none", flip_predictions=False)
    return recipe.replace(flip="alternating")


class Augment(keras.layers.Layer):
    """Mirrors, shifts and blanks images while training; does nothing otherwise.

    Input and output are scaled images, float32 (n, height, width, channels). Each image has its own draw.

    Args:
        flip: whether to mirror each image with probability 1/2. (Alternating mirror images come from the feed, which
            knows the epoch.)
        translate: largest shift, pixels; the border is filled by mirroring.
        cutout: side of a blanked square, pixels. Source: DeVries and Taylor, 2017, https://arxiv.org/abs/1708.04552.
        seed: of the draws.
    """

    def __init__(self, *, flip: bool, translate: int, cutout: int, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flip, self.translate, self.cutout = flip, translate, cutout
        self.random = keras.random.SeedGenerator(seed)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Augment | None:
        """The layer that `recipe` asks for, or None where it asks for nothing."""
        if recipe.flip != "random" and not recipe.translate and not recipe.cutout:
            return None
        return cls(
            flip=recipe.flip == "random",
            translate=recipe.translate,
            cutout=recipe.cutout,
            seed=recipe.seed,
            name="augmentation",
        )

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        if self.flip:
            images = self._mirror(images)
        if self.translate:
            images = self._shift(images)
        if self.cutout:
            images = self._blank(images)
        return images

    def _mirror(self, images: Any) -> Any:
        chosen = keras.random.uniform((ops.shape(images)[0], 1, 1, 1), seed=self.random) < 0.5
        return ops.where(chosen, ops.flip(images, axis=2), images)

    def _shift(self, images: Any) -> Any:
        """One look-up of pixels: along each axis by itself it would take ten times as long on TensorFlow."""
        count = ops.shape(images)[0]
        height, width, channels = images.shape[1:]
        reach = self.translate
        shifts = keras.random.randint((count, 2), -reach, reach + 1, seed=self.random)
        rows = _reflected(ops.arange(height)[None, :] + shifts[:, :1], height)
        columns = _reflected(ops.arange(width)[None, :] + shifts[:, 1:], width)
        starts = ops.arange(count)[:, None] * height
        places = (starts + rows)[:, :, None] * width + columns[:, None, :]
        shifted = ops.take(ops.reshape(images, (-1, channels)), places, axis=0)
        return ops.reshape(shifted, (-1, height, width, channels))

    def _blank(self, images: Any) -> Any:
        count, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        top = keras.random.randint((count, 1), 0, max(height - self.cutout, 0) + 1, seed=self.random)
        left = keras.random.randint((count, 1), 0, max(width - self.cutout, 0) + 1, seed=self.random)
        rows, columns = ops.arange(height)[None, :], ops.arange(width)[None, :]
        inside_rows = ops.logical_and(rows >= top, rows < top + self.cutout)
        inside_columns = ops.logical_and(columns >= left, columns < left + self.cutout)
        blanked = ops.logical_and(inside_rows[:, :, None], inside_columns[:, None, :])
        return ops.where(blanked[..., None], 0.0, images)


def _reflected(positions: Any, size: int) -> Any:
    """Positions outside 0..size-1 mirrored back at the border."""
    positions = ops.abs(positions)
    return ops.minimum(positions, 2 * (size - 1) - positions)
