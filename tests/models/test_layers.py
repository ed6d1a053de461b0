"""Maxout and sum pooling against numpy, and that they save and load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

IMAGES = np.random.default_rng(0).normal(size=(3, 7, 5, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


@pytest.mark.parametrize("pieces", [2, 3])
def test_maxout_is_the_largest_of_neighbours(pieces: int) -> None:
    from tinysight.models.layers import Maxout

    outputs = np.asarray(Maxout(pieces)(IMAGES))
    expected = np.stack([IMAGES[..., c * pieces : (c + 1) * pieces].max(-1) for c in range(6 // pieces)], axis=-1)
    np.testing.assert_array_equal(outputs, expected)
    assert Maxout(pieces).compute_output_shape((None, 7, 5, 6)) == (None, 7, 5, 6 // pieces)


def test_maxout_of_a_dense_layer() -> None:
    from tinysight.models.layers import Maxout

    np.testing.assert_array_equal(np.asarray(Maxout(2)(np.array([[1.0, 4, 3, 2]]))), [[4, 3]])


def test_maxout_refuses_what_it_cannot_divide() -> None:
    from tinysight.models.layers import Maxout

    with pytest.raises(ValueError, match="received 6 channels; expected a multiple of 4"):
        Maxout(4)(IMAGES)


@pytest.mark.parametrize("size", [2, 3])
def test_sum_pooling_adds_each_window(size: int) -> None:
    from tinysight.models.layers import SumPooling2D

    outputs = np.asarray(SumPooling2D(size)(IMAGES))
    rows, columns = 7 // size, 5 // size
    cut = IMAGES[:, : rows * size, : columns * size].reshape(3, rows, size, columns, size, 6)
    np.testing.assert_allclose(outputs, cut.sum(axis=(2, 4)), atol=1e-5)
    assert SumPooling2D(size).compute_output_shape((None, 7, 5, 6)) == (None, rows, columns, 6)
    assert SumPooling2D(size).compute_output_shape((None, None, None, 6)) == (None, None, None, 6)


def test_save_and_load(keras_module: Any, tmp_path: Path) -> None:
    from tinysight.models.layers import Maxout, SumPooling2D

    layers = [keras_module.Input((7, 5, 6)), SumPooling2D(3, name="sum"), Maxout(3, name="largest")]
    net = keras_module.Sequential(layers)
    net.save(tmp_path / "net.keras")
    loaded = keras_module.saving.load_model(tmp_path / "net.keras")
    assert (loaded.get_layer("sum").pool_size, loaded.get_layer("largest").pieces) == (3, 3)
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), net.predict(IMAGES, verbose=0))
