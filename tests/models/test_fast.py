"""The fast net: its whitening stem, its groups, and that what is saved is what was trained."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinysight.errors import InvalidValueError
from tinysight.recipe import Recipe, make_recipe

SHAPE = (16, 16, 3)
IMAGES = np.random.default_rng(1).normal(size=(64, *SHAPE)).astype(np.float32)


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def recipe_of(**fields: Any) -> Recipe:
    return make_recipe({"model": "fast", "widths": (4, 6), "stem_filters": 6, **fields})


def test_whitened_patches_have_variance_one_and_no_correlation() -> None:
    from tinysight.models.fast import whitening_kernel

    # Neighbouring pixels are alike, as in photographs.
    images = IMAGES + np.roll(IMAGES, 1, axis=1) + np.roll(IMAGES, 1, axis=2)
    kernel = whitening_kernel(images, 2, 12)
    assert kernel.shape == (2, 2, 3, 24)
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
    patches = np.stack([images[:, i : i + 15, j : j + 15] for i in (0, 1) for j in (0, 1)], axis=3)
    outputs = patches.reshape(-1, 12) @ kernel[..., :12].reshape(12, 12)
    np.testing.assert_allclose(outputs.T @ outputs / len(outputs), np.eye(12), atol=0.02)


def test_a_few_directions_are_those_of_the_largest_variance() -> None:
    from tinysight.models.fast import whitening_kernel

    images = IMAGES * np.array([5, 1, 0.1], np.float32)
    few = whitening_kernel(images, 1, 1)
    # Divided by the deviation of the first channel, the only one that counts.
    np.testing.assert_allclose(abs(few[0, 0, :, 0]), [0.2, 0, 0], atol=0.01)


@pytest.mark.parametrize("pooling", ["before", "after"])
@pytest.mark.parametrize("residual", [False, True])
def test_groups(keras_module: Any, pooling: str, residual: bool) -> None:
    from tinysight.models.fast import build_fast

    recipe = recipe_of(group_pooling=pooling, residual=residual, group_convolutions=2, stem_strides=1)
    net = build_fast(recipe, SHAPE, 3)
    convolutions = [layer for layer in net.layers if isinstance(layer, keras_module.layers.Conv2D)]
    sides = [layer.input.shape[1] for layer in convolutions]
    assert sides == ([16, 8, 8, 4, 4] if pooling == "before" else [16, 16, 8, 8, 4])
    assert sum(isinstance(layer, keras_module.layers.Add) for layer in net.layers) == (2 if residual else 0)
    assert net.output_shape == (None, 3)


def test_a_stem_without_border() -> None:
    from tinysight.models.fast import build_fast

    recipe = recipe_of(stem_kernel=2, stem_strides=1, stem_padding="valid")
    assert build_fast(recipe, SHAPE, 3).get_layer("whitening").output.shape[1:3] == (15, 15)


def test_groups_that_shrink_the_image_to_nothing() -> None:
    from tinysight.models.fast import build_fast

    with pytest.raises(InvalidValueError, match="4 widths shrink the image to nothing"):
        build_fast(recipe_of(widths=(4, 4, 4, 4)), SHAPE, 3)


def test_fused_normalisation_is_keras_own(keras_module: Any) -> None:
    from tinysight.models.fused import FusedBatchNormalization

    inputs = IMAGES * 3 + 2
    ours = FusedBatchNormalization(momentum=0.6, epsilon=1e-5, scale=False)
    theirs = keras_module.layers.BatchNormalization(momentum=0.6, epsilon=1e-5, scale=False)
    for layer in (ours, theirs):
        layer.build(inputs.shape)
        layer.beta.assign([0.5, -1.0, 2.0])
    for _ in range(3):
        np.testing.assert_allclose(ours(inputs, training=True), theirs(inputs, training=True), atol=1e-5)
    for mine, keras_own in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, keras_own, rtol=1e-5)
    np.testing.assert_allclose(ours(inputs, training=False), theirs(inputs, training=False), atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_saved_is_what_was_trained(keras_module: Any, precision: str, tmp_path: Path) -> None:
    from tinysight.models.registry import as_saved, build_training_net
    from tinysight.models.serving import serving_model

    recipe = recipe_of(precision=precision, group_convolutions=2, residual=True)
    trained = build_training_net(recipe, SHAPE, 3)
    compiled = keras_module.Model(trained.inputs, trained.outputs)
    compiled.compile("sgd", keras_module.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    before = [weight.copy() for weight in trained.get_weights()]
    compiled.fit(IMAGES, np.arange(64) % 3, epochs=2, batch_size=16, verbose=0)
    assert any(not np.array_equal(a, b) for a, b in zip(before, trained.get_weights(), strict=True))
    saved = as_saved(trained, recipe, SHAPE, 3)
    assert {type(layer).__module__.split(".")[0] for layer in saved.layers} == {"keras"}
    assert {layer.compute_dtype for layer in saved.layers} == {"float32"}
    tolerance = 1e-5 if precision == "float32" else 0.05
    expected = np.asarray(trained(IMAGES, training=False))
    assert expected.dtype == np.float32
    np.testing.assert_allclose(np.asarray(saved(IMAGES, training=False)), expected, atol=tolerance)
    # Precision is of this net alone.
    assert keras_module.config.dtype_policy().name == "float32"
    # Nothing of ours is needed to read it, nor what is around it.
    around = serving_model(saved, "0..1", SHAPE, flip_predictions=True, shift_predictions=1)
    for model, images in (saved, IMAGES), (around, (64 * IMAGES).astype(np.int32).astype(np.uint8)):
        model.save(tmp_path / "net.keras")
        with zipfile.ZipFile(tmp_path / "net.keras") as archive:
            config = archive.read("config.json").decode().replace('"name": "tinysight"', "")
        assert "tinysight" not in config
        again = keras_module.models.load_model(tmp_path / "net.keras")
        np.testing.assert_array_equal(again(images), model(images))


def test_automatic_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinysight.models import precision

    assert precision.resolve_precision(recipe_of(precision="float32")).precision == "float32"
    for flags, expected in (
        ({"avx512f", "amx_bf16", "amx_tile"}, "bfloat16"),
        ({"avx512f", "avx512_bf16"}, "bfloat16"),
        ({"avx2", "avx512f"}, "float32"),
        (set(), "float32"),
    ):
        monkeypatch.setattr(precision, "_processor_flags", lambda flags=flags: flags)
        assert precision.resolve_precision(recipe_of(precision="auto")).precision == expected
