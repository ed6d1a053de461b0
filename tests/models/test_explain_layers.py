"""The summary table and its explanation."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tinysight.recipe import load_recipe, make_recipe, recipe_names


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def explained(**fields: Any) -> dict[str, str]:
    from tinysight.models.cnn import build_cnn
    from tinysight.models.explain import explain

    return dict(explain(build_cnn(make_recipe(fields), (32, 32, 3), 10)))


def words(found: dict[str, str], part: str) -> str:
    (row,) = [row for row in found if part in row]
    return found[row]


@pytest.mark.parametrize("name", recipe_names())
def test_every_row_of_every_recipe_adds_up(name: str) -> None:
    from tinysight.data import catalog
    from tinysight.models.explain import explain
    from tinysight.models.registry import build_net

    recipe = load_recipe(name)
    entry = catalog.find_entry(recipe.data)
    net = build_net(recipe, entry.image_shape, entry.num_classes)
    counted = 0
    for row, text in explain(net):
        parameters = row.rpartition("  ")[2].removesuffix(" parameters")
        counted += int(parameters.replace(",", ""))
        if parameters != "0":
            formula = re.search(rf"(?:^|\. ){parameters} = ([0-9x+()]+):", text)
            assert formula, text
            # Of digits and signs alone, as just matched.
            assert eval(formula[1].replace("x", "*")) == int(parameters.replace(",", ""))
    assert counted == net.count_params()


def test_the_example_of_the_docs() -> None:
    found = explained(layers=("conv 32", "pool", "conv 64"))
    text = words(found, "(Conv2D)  32x32x3 -> 30x30x32  896 parameters")
    assert "32 to 30 by a valid 3x3 window" in text
    assert "896 = (3x3x3+1)x32" in text
    assert "15 to 13 by a valid 3x3 window" in words(found, "18,496 parameters")


def test_padding_and_strides() -> None:
    assert "32 stays 32: zeros around" in words(explained(layers=("conv 4",), padding="same"), "Conv2D")
    assert "in steps of 2, with zeros" in words(explained(layers=("conv 4",), padding="same", strides=2), "Conv2D")
    assert "(32 - 5) / 2 + 1, rounded down" in words(explained(layers=("conv 4",), kernel_size=5, strides=2), "Conv2D")


@pytest.mark.parametrize(
    ("pooling", "word"), [("max", "the largest value is kept"), ("average", "the mean is kept"), ("sum", "the sum")]
)
def test_pooling(pooling: str, word: str) -> None:
    assert word in words(explained(layers=("conv 4", "pool"), pooling=pooling), "Pooling2D")


def test_rows_that_pooling_drops() -> None:
    assert "fit no window and are dropped" in words(explained(layers=("conv 4", "pool"), kernel_size=4), "MaxPooling2D")


def test_the_other_layers() -> None:
    found = explained(
        layers=("conv 4", "batchnorm", "dropout 0.25", "dense 5"), activation="leaky_relu", leaky_slope=0.2
    )
    assert "16 = 4x4" in words(found, "BatchNormalization")
    assert "probability 0.25" in words(found, "Dropout")
    assert "30 x 30 x 4 = 3,600" in words(found, "Flatten")
    assert "Softmax" in words(found, "60 parameters")
    assert all("multiplied by 0.2" in text for row, text in found.items() if "LeakyReLU" in row)
    assert "largest of each 2 neighbours" in words(explained(layers=("conv 4",), activation="maxout"), "Maxout")


def test_summary_is_keras_table_in_any_window(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinysight.models.cnn import build_cnn
    from tinysight.models.explain import summary_text

    monkeypatch.setenv("COLUMNS", "30")
    text = summary_text(build_cnn(load_recipe("tensorflow"), (32, 32, 3), 10))
    assert "(None, 30, 30, 32)" in text
    assert "Total params: 122,570" in text
    assert "\x1b" not in text
    import os

    assert os.environ["COLUMNS"] == "30"
