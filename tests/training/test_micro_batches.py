"""A step in parts: the numbers of a whole step, with fewer images in the net at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import numbered_images, stripes

from tinysight.errors import TrainingStoppedError
from tinysight.recipe import Recipe, make_recipe

COUNT, BATCH = 60, 23


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def recipe_of(micro_batch_size: int | None, **fields: Any) -> Recipe:
    return make_recipe(
        {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": BATCH, "epochs": 2, "seed": 5, "translate": 1,
         "flip": "random", "micro_batch_size": micro_batch_size, **fields}
    )  # fmt: skip


def net_of(keras: Any, *further: Any) -> Any:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((9, 9, 3)), *further, layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(4)]
    )


def trained(recipe: Recipe, net: Any, folder: Path) -> tuple[Any, list[Any]]:
    from tinysight.training.fit import fit

    fit(recipe, net, stripes(COUNT), None, history_path=folder / "h.csv", quiet=True)
    return (folder / "h.csv").read_text(encoding="utf-8"), net.get_weights()


def most_at_once(keras: Any) -> Any:
    """A layer that remembers the largest number of images that went through it; Keras sends eight before the first."""

    class Most(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def build(self, shape: Any) -> None:
            self.most = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

        def call(self, images: Any) -> Any:
            self.most.assign(keras.ops.maximum(self.most, keras.ops.shape(images)[0]))
            return images

    return Most()


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("fields", [{}, {"class_weights": "balanced"}, {"loss": "categorical_crossentropy"}], ids=str)
def test_the_numbers_of_a_whole_step(fields: Any, size: int, keras_module: Any, tmp_path: Path) -> None:
    """Augmented as they were, and each counts as before: 23 images, 23 again and 14, each in parts."""
    whole, parts = (trained(recipe_of(each, **fields), net_of(keras_module), tmp_path) for each in (None, size))
    for before, after in zip(whole[1], parts[1], strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-6)
    figures = [[row.split(",")[1:4] for row in text.splitlines()[1:]] for text, _ in (whole, parts)]
    np.testing.assert_allclose(np.array(figures[1], float), np.array(figures[0], float), rtol=1e-4)


@pytest.mark.parametrize(("size", "most"), [(None, BATCH), (8, 8), (22, 14), (10, 8), (BATCH, BATCH), (100, BATCH)])
def test_so_many_images_pass_the_net_at_once(size: int | None, most: int, keras_module: Any, tmp_path: Path) -> None:
    layer = most_at_once(keras_module)
    trained(recipe_of(size), net_of(keras_module, layer), tmp_path)
    assert int(layer.most.numpy()) == most


def test_normalisation_is_of_the_part(keras_module: Any, tmp_path: Path) -> None:
    """So many updates of the followed means, where every part has the same ones."""
    ends = []
    for size in (None, 10):
        layer = keras_module.layers.BatchNormalization(momentum=0.5)
        net = net_of(keras_module, layer)
        layer.moving_mean.assign(np.full(3, 1000.0))
        trained(recipe_of(size, batch_size=20, epochs=1), net, tmp_path)
        ends.append(float(np.asarray(layer.moving_mean)[0]))
    # Halved three times, or six times.
    assert ends[0] == pytest.approx(125, abs=2)
    assert ends[1] == pytest.approx(1000 / 64, abs=2)


def test_the_first_bad_step_is_named(keras_module: Any, tmp_path: Path) -> None:
    from tinysight.training import fit as module
    from tinysight.training.feed import epoch_order

    number = int(epoch_order(40, 5, 0)[2 * 7 + 1])

    class Poison(keras_module.layers.Layer):  # type: ignore[misc,name-defined]
        def call(self, images: Any) -> Any:
            ops = keras_module.ops
            return images / 255 + ops.where(ops.round(images[:, :1, :1]) == number, np.nan, 0.0)

    net = keras_module.Sequential(
        [keras_module.Input((8, 8, 1)), Poison(), keras_module.layers.Flatten(), keras_module.layers.Dense(3)]
    )
    recipe = recipe_of(3, scaling="none", batch_size=7, translate=0, flip="none")
    with pytest.raises(TrainingStoppedError, match="the loss became NaN at epoch 1, step 3 of 6"):
        module.fit(recipe, net, numbered_images(40), None, history_path=tmp_path / "h.csv", quiet=True)


def test_the_same_bits_again(keras_module: Any, tmp_path: Path) -> None:
    first, second = (trained(recipe_of(8, optimizer="muon"), net_of(keras_module), tmp_path)[1] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weight_that_the_loss_does_not_depend_on_stays(keras_module: Any, tmp_path: Path) -> None:
    class Spare(keras_module.layers.Layer):  # type: ignore[misc,name-defined]
        def build(self, shape: Any) -> None:
            self.spare = self.add_weight(shape=(2,), initializer="ones")

        def call(self, images: Any) -> Any:
            return images

    layer = Spare()
    trained(recipe_of(8), net_of(keras_module, layer), tmp_path)
    np.testing.assert_array_equal(np.asarray(layer.spare), [1, 1])


def test_a_size_below_one_is_refused() -> None:
    from tinysight.errors import InvalidValueError

    with pytest.raises(InvalidValueError, match="micro_batch_size = 0"):
        recipe_of(0)
