"""Every corruption: same shape and type, seeded, worse with strength, and right where it can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from tinysight.errors import InvalidValueError
from tinysight.evaluation.corruptions import CORRUPTIONS, brightness, contrast, impulse_noise, occlusion, shift

SHAPES = [(28, 28, 1), (32, 32, 3), (48, 40, 3)]


def pictures(shape: tuple[int, int, int], count: int = 24) -> NDArray[np.uint8]:
    """Smooth blobs, like photographs: neighbours are alike, and values reach from dark to light."""
    random = np.random.default_rng(3)
    coarse = random.uniform(0, 255, (count, 7, 7, shape[2]))
    factors = (1, shape[0] / 7, shape[1] / 7, 1)
    return np.clip(gaussian_filter(zoom(coarse, factors, order=1), (0, 1, 1, 0)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_shape_type_and_seed(name: str, shape: tuple[int, int, int]) -> None:
    images = pictures(shape)
    before = images.copy()
    first, again = CORRUPTIONS[name](images, 3, 5), CORRUPTIONS[name](images, 3, 5)
    assert first.shape == images.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_more_strength_does_more_damage(name: str, shape: tuple[int, int, int]) -> None:
    images = pictures(shape, 60)
    damage = [np.abs(CORRUPTIONS[name](images, strength, 1).astype(float) - images).mean() for strength in range(1, 6)]
    assert damage[0] > 0
    assert damage == sorted(damage)
    assert damage[4] > 1.5 * damage[0]


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"gaussian_blur", "contrast", "jpeg"}))
def test_another_seed_draws_anew(name: str) -> None:
    images = pictures((32, 32, 3))
    assert (CORRUPTIONS[name](images, 3, 1) != CORRUPTIONS[name](images, 3, 2)).any()


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("strength", [0, 6, -1])
def test_a_strength_that_does_not_exist_is_refused(name: str, strength: int) -> None:
    with pytest.raises(InvalidValueError, match="expected 1 to 5"):
        CORRUPTIONS[name](pictures((28, 28, 1)), strength, 0)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_image_is_no_error(name: str) -> None:
    empty = np.zeros((0, 28, 28, 1), np.uint8)
    assert CORRUPTIONS[name](empty, 2, 0).shape == (0, 28, 28, 1)


def test_brightness_moves_all_pixels_by_the_same_step() -> None:
    images = np.full((40, 28, 28, 1), 100, np.uint8)
    assert set(np.unique(brightness(images, 2, 0))) == {60, 140}


def test_contrast_keeps_the_mean_and_shrinks_the_spread() -> None:
    images = pictures((32, 32, 3))
    faded = contrast(images, 4, 0).astype(float)
    np.testing.assert_allclose(faded.mean(axis=(1, 2, 3)), images.mean(axis=(1, 2, 3)), atol=0.5)
    np.testing.assert_allclose(faded.std(axis=(1, 2, 3)), 0.3 * images.std(axis=(1, 2, 3)), rtol=0.02)


def test_impulse_noise_hits_its_share_of_pixels_in_all_channels() -> None:
    images = np.full((50, 32, 32, 3), 100, np.uint8)
    hit = impulse_noise(images, 4, 0) != 100
    assert hit.any(axis=3).mean() == pytest.approx(0.12, abs=0.01)
    np.testing.assert_array_equal(hit.any(axis=3), hit.all(axis=3))


def test_occlusion_hides_one_square() -> None:
    images = np.full((10, 32, 32, 3), 255, np.uint8)
    hidden = (occlusion(images, 3, 0) == 128).all(axis=3)
    np.testing.assert_array_equal(hidden.sum(axis=(1, 2)), 13 * 13)
    np.testing.assert_array_equal(hidden.any(axis=1).sum(axis=1), 13)


def test_shift_moves_a_spot_by_its_distance() -> None:
    images = np.zeros((30, 33, 33, 1), np.uint8)
    images[:, 15:18, 15:18] = 255
    moved = shift(images, 4, 0)[..., 0].astype(float)
    weight = moved.sum(axis=(1, 2))
    rows = (moved.sum(axis=2) * np.arange(33)).sum(axis=1) / weight
    columns = (moved.sum(axis=1) * np.arange(33)).sum(axis=1) / weight
    np.testing.assert_allclose(np.hypot(rows - 16, columns - 16), 0.18 * 33, atol=0.1)
