from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate

from tinysight.errors import InvalidValueError
from tinysight.evaluation.kernels import KERNELS, apply_all, apply_kernel, grey


def picture(channels: int = 1) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (11, 14, channels), dtype=np.uint8)


@pytest.mark.parametrize("name", KERNELS)
def test_the_same_as_scipy(name: str) -> None:
    kernel, image = KERNELS[name], picture()
    expected = correlate(image[..., 0].astype(np.float64), kernel.as_array(), mode="nearest") + kernel.offset
    found = apply_kernel(kernel, image)
    assert (found.dtype, found.shape) == (np.uint8, (11, 14))
    assert np.abs(found - np.clip(expected, 0, 255)).max() <= 0.51


@pytest.mark.parametrize("name", KERNELS)
def test_flat_areas_keep_their_grey_or_become_middle_grey(name: str) -> None:
    flat = np.full((6, 6, 1), 77, np.uint8)
    np.testing.assert_array_equal(apply_kernel(KERNELS[name], flat), 128 if KERNELS[name].offset else 77)


def test_edges_have_the_sign_that_their_words_say() -> None:
    brighter_to_the_right = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None], 8, axis=0)[..., None]
    assert apply_kernel(KERNELS["vertical edges"], brighter_to_the_right)[4, 8] > 128
    assert apply_kernel(KERNELS["horizontal edges"], brighter_to_the_right)[4, 8] == 128
    # Darker towards the lower right is lit from the upper left.
    assert apply_kernel(KERNELS["emboss"], brighter_to_the_right)[4, 8] > 128


def test_colour_is_turned_to_luma() -> None:
    image = picture(3)
    np.testing.assert_allclose(grey(image), image @ np.array([0.299, 0.587, 0.114]), atol=1e-3)
    assert list(apply_all(image)) == list(KERNELS)


@pytest.mark.parametrize("image", [picture()[..., 0], picture().astype(np.float32), picture(2)])
def test_bad_input(image: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="expected uint8"):
        apply_kernel(KERNELS["blur"], image)
