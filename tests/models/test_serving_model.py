"""The model that is saved: raw pixels in, probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from tinysight.recipe import Scaling, make_recipe
from tinysight.serving.model_info import ModelInfo

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3)).astype(np.uint8)
RANGES = {"0..1": (0.0, 1.0), "-0.5..0.5": (-0.5, 0.5), "-1..1": (-1.0, 1.0), "none": (0.0, 255.0)}


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_scaling_reaches_both_ends(scaling: Scaling) -> None:
    from tinysight.models.serving import scaling_layer

    black_and_white = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    scaled = np.asarray(scaling_layer(scaling)(black_and_white))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.ravel(), RANGES[scaling], atol=1e-6)


def net_of(keras: Any, activation: str | None) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((8, 6, 3)), layers.Flatten(), layers.Dense(4, activation=activation)])


@pytest.mark.parametrize("activation", ["softmax", None])
def test_probabilities_come_out(keras_module: Any, activation: str | None) -> None:
    from tinysight.models.serving import serving_model

    net = net_of(keras_module, activation)
    outputs = serving_model(net, "-1..1", (8, 6, 3)).predict(PIXELS, verbose=0)
    expected = np.asarray(net(PIXELS.astype(np.float32) / 127.5 - 1))
    if activation is None:
        expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_flip_predictions_averages_probabilities(keras_module: Any, activation: str | None) -> None:
    from tinysight.models.serving import serving_model

    net = net_of(keras_module, activation)
    plain = serving_model(net, "0..1", (8, 6, 3))
    both = serving_model(net, "0..1", (8, 6, 3), flip_predictions=True)
    mirrored = np.ascontiguousarray(PIXELS[:, :, ::-1])
    expected = (plain.predict(PIXELS, verbose=0) + plain.predict(mirrored, verbose=0)) / 2
    np.testing.assert_allclose(both.predict(PIXELS, verbose=0), expected, atol=1e-6)
    assert both.count_params() == net.count_params()
    assert both.outputs[0].shape == plain.outputs[0].shape
    assert not both.outputs[0].sparse


def test_shifts_move_images(keras_module: Any) -> None:
    from tinysight.models.serving import shift

    images = PIXELS.astype(np.float32)
    moved = np.asarray(shift(images, 2, -1))
    np.testing.assert_array_equal(moved[:, 2:, :-1], images[:, :-2, 1:])
    # What comes in at the border is what lies behind it, mirrored.
    np.testing.assert_array_equal(moved[:, 1, :-1], images[:, 1, 1:])
    np.testing.assert_array_equal(moved[:, 2:, -1], images[:, :-2, -2])


def test_views_are_averaged(keras_module: Any) -> None:
    from tinysight.models.serving import serving_model

    net = net_of(keras_module, "softmax")
    plain = serving_model(net, "0..1", (8, 6, 3))

    def views(pixels: Any) -> tuple[Any, Any]:
        """The answer to the image itself, and the mean of those to the two shifted ones."""
        padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        up, down = plain(padded[:, 2:, 2:]), plain(padded[:, :-2, :-2])
        return np.asarray(plain(pixels)), (np.asarray(up) + np.asarray(down)) / 2

    averaged = serving_model(net, "0..1", (8, 6, 3), flip_predictions=True, shift_predictions=1)
    expected = np.mean([*views(PIXELS), *views(PIXELS[:, :, ::-1])], axis=0)
    np.testing.assert_allclose(np.asarray(averaged(PIXELS)), expected, atol=1e-6)


def test_the_net_stands_in_the_file_once_for_all_views(keras_module: Any, tmp_path: Path) -> None:
    import onnx

    from tinysight.export.onnx import write_onnx
    from tinysight.models.serving import serving_model
    from tinysight.serving.predictor import Predictor

    net = net_of(keras_module, None)
    averaged = serving_model(net, "0..1", (8, 6, 3), flip_predictions=True, shift_predictions=1)
    info = ModelInfo(
        class_names=tuple("abcd"), image_shape=(8, 6, 3), recipe="a", created="b", version="c", num_views=6
    )
    path = write_onnx(averaged, tmp_path / "model.onnx", info)
    operations = [node.op_type for node in onnx.load(path).graph.node]
    assert sum(operations.count(kind) for kind in ("MatMul", "Gemm")) == 1
    for count in (1, 5):
        expected = np.asarray(averaged(PIXELS[:count]))
        np.testing.assert_allclose(Predictor(path).predict(PIXELS[:count]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("flip", "shift", "expected"), [(False, 0, 1), (True, 0, 2), (False, 1, 3), (True, 2, 6)]
)  # fmt: skip
def test_a_recipe_counts_its_views(keras_module: Any, flip: bool, shift: int, expected: int) -> None:
    from tinysight.models.serving import serving_model_of

    recipe = make_recipe({"flip_predictions": flip, "shift_predictions": shift})
    assert recipe.num_views == expected
    net = net_of(keras_module, "softmax")
    seen: list[int] = []

    class Counting(keras_module.layers.Layer):  # type: ignore[misc,name-defined]
        def call(self, images: Any) -> Any:
            seen.append(images.shape[0])
            return images

    counted = keras_module.Sequential([keras_module.Input((8, 6, 3)), Counting(), *net.layers])
    model = serving_model_of(counted, recipe, (8, 6, 3))
    seen.clear()
    model(PIXELS)
    assert seen == [expected * len(PIXELS)]
