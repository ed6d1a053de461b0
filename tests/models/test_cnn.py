"""Nets out of words, and the shipped recipes' parameter counts."""

from __future__ import annotations

from typing import Any

import pytest

from tinysight.data import catalog
from tinysight.errors import InvalidValueError, TinysightError, UnknownNameError
from tinysight.recipe import load_recipe, make_recipe, recipe_names

# From the tutorials; the counts of the convolutional base are those before the first dense layer.
COUNTS = {
    "tensorflow": (122_570, 56_320),
    "mnist-softmax": (7_850, 0),
    "mnist-cnn": (93_322, 55_744),
    "two-conv": (1_060_138, 896 + 9_248),
    "leaky-adamax": (1_084_234, 448 + 4_640 + 9_248 + 18_496),
    "day4": (315_722, 896 + 18_496),
}


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def build(name: str) -> Any:
    from tinysight.models.registry import build_net

    recipe = load_recipe(name)
    entry = catalog.find_entry(recipe.data)
    return build_net(recipe, entry.image_shape, entry.num_classes)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_builds(name: str) -> None:
    net = build(name)
    assert net.output_shape == (None, 10)
    assert load_recipe(name).parameters in (None, net.count_params())


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name: str) -> None:
    net = build(name)
    base = sum(layer.count_params() for layer in net.layers if type(layer).__name__ == "Conv2D")
    assert (net.count_params(), base) == COUNTS[name]


def kinds(**fields: Any) -> list[str]:
    from tinysight.models.cnn import build_cnn

    net = build_cnn(make_recipe(fields), (8, 8, 3), 4)
    return [type(layer).__name__ for layer in net.layers]


def test_words_become_layers() -> None:
    words = ("conv 4", "batchnorm", "pool", "dropout 0.2", "dropout", "flatten", "dense 5")
    assert kinds(layers=words, dropout=0.3) == [
        "Conv2D", "BatchNormalization", "MaxPooling2D", "Dropout", "Dropout", "Flatten", "Dense", "Dense",
    ]  # fmt: skip


def test_flatten_is_put_where_it_is_missing() -> None:
    assert kinds(layers=("conv 4", "dense 5")) == ["Conv2D", "Flatten", "Dense", "Dense"]
    assert kinds(layers=("conv 4",)) == ["Conv2D", "Flatten", "Dense"]
    assert kinds(layers=()) == ["Flatten", "Dense"]


def test_one_word_changes_the_net() -> None:
    layers = ("conv 4", "pool", "dense 5")
    assert kinds(layers=layers, activation="maxout", pooling="sum") == [
        "Conv2D", "Maxout", "SumPooling2D", "Flatten", "Dense", "Maxout", "Dense",
    ]  # fmt: skip
    assert kinds(layers=layers, activation="leaky_relu", pooling="average") == [
        "Conv2D", "LeakyReLU", "AveragePooling2D", "Flatten", "Dense", "LeakyReLU", "Dense",
    ]  # fmt: skip


def test_window_fields() -> None:
    from tinysight.models.cnn import build_cnn

    fields: dict[str, Any] = {"layers": ("conv 4", "pool"), "kernel_size": 5, "strides": 2, "pool_size": 3}
    same = build_cnn(make_recipe({**fields, "padding": "same"}), (28, 28, 1), 4)
    valid = build_cnn(make_recipe({**fields, "padding": "valid"}), (28, 28, 1), 4)
    assert [layer.output.shape[1] for layer in same.layers[:2]] == [14, 4]
    assert [layer.output.shape[1] for layer in valid.layers[:2]] == [12, 4]


@pytest.mark.parametrize("name", ["my net", "../x", "1", "_a", "ü", "", "a/b"])
def test_any_recipe_name_is_a_valid_name_for_keras(name: str) -> None:
    from tinysight.models.cnn import build_cnn

    net = build_cnn(make_recipe({"name": name, "layers": ("conv 4",)}), (8, 8, 3), 4)
    assert net.name.isascii()
    assert net.name.isidentifier()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("cnv 4", "unknown layer 'cnv': did you mean 'conv'?"),
        ("conv", "layer 'conv': expected a number of filters, as in 'conv 32'"),
        ("conv -4", "expected a number of filters"),
        ("conv 0", "expected a number of filters"),
        ("conv 4 5", "expected a number of filters"),
        ("conv 99999", "expected a number of filters"),
        ("dense many", "expected a number of units, as in 'dense 64'"),
        ("pool 2", "'pool' takes no number here"),
        ("flatten 2", "'flatten' takes no number here"),
        ("batchnorm 1", "'batchnorm' takes no number here"),
        ("dropout 1", "expected a rate from 0 up to 1"),
        ("dropout half", "expected a rate from 0 up to 1"),
        ("", "unknown layer ''"),
    ],
)
def test_words_that_are_not_understood(word: str, message: str) -> None:
    with pytest.raises(TinysightError) as error:
        kinds(layers=(word,))
    assert message in str(error.value)


def test_an_image_that_shrinks_to_nothing() -> None:
    with pytest.raises(InvalidValueError) as error:
        kinds(layers=("conv 4", "pool", "pool", "conv 4"))
    assert str(error.value).startswith("layer 4, 'conv 4', does not fit an input of shape (1, 1, 4): ")
    assert "padding=same" in str(error.value)
    with pytest.raises(InvalidValueError, match="layer 2, 'pool', does not fit"):
        kinds(layers=("pool", "pool", "pool"), pool_size=3)


def test_a_convolution_after_the_image_became_a_row() -> None:
    with pytest.raises(InvalidValueError, match=r"layer 2, 'conv 4', does not fit .* put it before 'flatten'"):
        kinds(layers=("flatten", "conv 4"))


def test_unknown_net() -> None:
    from tinysight.models.registry import build_net

    with pytest.raises(UnknownNameError, match="unknown model 'cnm': did you mean 'cnn'"):
        build_net(make_recipe({"model": "cnm"}), (8, 8, 3), 4)
