"""The model as it is trained: raw pixels, augmentation and scaling in front of the net, in one compiled step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tinysight.models.serving import gives_probabilities, scaling_layer
from tinysight.recipe import Recipe
from tinysight.training.augment import Augment
from tinysight.training.micro_batches import accumulate
from tinysight.training.whole_epochs import ResidentImages, train_function


class Trainee(keras.Model):
    """A net with what is done to pixels before it, for `fit`.

    Input is uint8 (n, height, width, channels); output is the net's own, float32 (n, num_classes).

    Args:
        net: what is trained.
        recipe: its scaling and augmentation.
        class_weights: float32 (num_classes,), what an image of each class counts in the loss while training; None
            for all alike.

    Attributes:
        resident: images on the device, where `fit` is given the order of an epoch rather than its images; else None.
        steps_before: steps of the first epoch of the present `fit` that were done before it.
    """

    def __init__(self, net: keras.Model, recipe: Recipe, class_weights: NDArray[np.float32] | None = None) -> None:
        super().__init__(name="trainee")
        self.net = net
        self.class_weights = class_weights
        self.resident: ResidentImages | None = None
        self.steps_before = 0
        self.train_function: Any
        self.scaling = scaling_layer(recipe.scaling)
        self.augment = Augment.from_recipe(recipe)
        has_parts = (
            keras.backend.backend() == "tensorflow" and (recipe.micro_batch_size or math.inf) < recipe.batch_size
        )
        self.micro_batch_size = recipe.micro_batch_size if has_parts else None
        # The first step whose loss was not finite, counted from 0; -1 while there was none. A variable, because steps
        # are executed many at a time and the callback sees only the last of them. The steps are counted here, too:
        # on JAX a loss cannot see the optimizer's count.
        self.first_bad_step = self._counter("first_bad_step", -1)
        self.steps_begun = self._counter("steps_begun", 0)

    def _counter(self, name: str, start: int) -> Any:
        return self.add_weight(
            shape=(), dtype="int32", initializer=lambda shape, dtype: ops.full(shape, start, dtype), trainable=False,
            name=name,
        )  # fmt: skip

    def call(self, pixels: Any, training: bool = False) -> Any:
        return self.net(self.prepare(pixels, training=training), training=training)

    def prepare(self, pixels: Any, training: bool = False) -> Any:
        """What the net sees of raw pixels: scaled, and augmented while training."""
        images = self.scaling(pixels)
        return images if self.augment is None else self.augment(images, training=training)

    def make_train_function(self, force: bool = False) -> None:
        if self.resident is None:
            super().make_train_function(force)
        elif self.train_function is None or force:
            self.train_function = train_function(self, self.resident)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = self._loss(y, y_pred, sample_weight, training)
        if training:
            self._count_step(loss)
        return loss

    def _loss(self, labels: Any, outputs: Any, sample_weight: Any, training: bool) -> Any:
        if training and self.class_weights is not None:
            sample_weight = self._weights(labels)
        return super().compute_loss(y=labels, y_pred=outputs, sample_weight=sample_weight, training=training)

    def _count_step(self, loss: Any) -> None:
        first, step = ops.convert_to_tensor(self.first_bad_step), ops.convert_to_tensor(self.steps_begun)
        is_first = ops.logical_and(first < 0, ops.logical_not(ops.isfinite(loss)))
        self.first_bad_step.assign(ops.where(is_first, step, first))
        self.steps_begun.assign(step + 1)

    def train_step(self, *args: Any) -> Any:
        if self.micro_batch_size is None:
            return super().train_step(*args)
        pixels, labels, _ = keras.utils.unpack_x_y_sample_weight(*args)
        weights = self.trainable_variables
        loss, outputs, gradients = self.in_parts(pixels, labels, weights)
        self._count_step(loss)
        tracker = next(metric for metric in self.metrics if metric.name == "loss")
        tracker.update_state(loss, sample_weight=ops.shape(labels)[0])
        self.optimizer.apply(gradients, weights)
        return self.compute_metrics(pixels, labels, outputs)

    def in_parts(self, pixels: Any, labels: Any, weights: Sequence[Any]) -> tuple[Any, Any, list[Any]]:
        """Loss, outputs and the gradients of `weights`, of one micro-batch after the other; see `accumulate`."""

        def loss_of(images: Any, labels: Any) -> tuple[Any, Any]:
            outputs = self.net(images, training=True)
            return self._loss(labels, outputs, None, True), outputs

        assert self.micro_batch_size is not None
        return accumulate(loss_of, weights, self.prepare(pixels, training=True), labels, self.micro_batch_size)

    def _weights(self, labels: Any) -> Any:
        """What each image counts: float32 (n,), from indices or one-hot rows."""
        weights = ops.convert_to_tensor(self.class_weights)
        return ops.take(weights, labels) if len(labels.shape) == 1 else ops.matmul(labels, weights)


def has_one_hot_labels(recipe: Recipe) -> bool:
    """Whether the loss of `recipe` takes labels as one-hot rows, float32 (n, num_classes), rather than as indices."""
    return recipe.loss == "categorical_crossentropy"


def make_loss(recipe: Recipe, net: keras.Model) -> keras.losses.Loss:
    """The loss of `recipe` on what `net` gives: probabilities or logits.

    Label smoothing needs one-hot labels; `categorical_crossentropy` has them.
    """
    from_logits = not gives_probabilities(net)
    if has_one_hot_labels(recipe):
        return keras.losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=recipe.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
