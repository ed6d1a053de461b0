import itertools

import numpy as np
import pytest

from tinysight.errors import InvalidValueError
from tinysight.evaluation.corruptions import CORRUPTIONS, STRENGTHS

SHAPES = [(28, 28, 1), (32, 32, 3), (64, 64, 3), (40, 24, 3), (8, 8, 1)]


def pictures(num_images, height, width, channels, seed=0):
    """Soft blobs with an edge through them: uint8 (n, height, width, channels), values from about 40 to 215."""
    rng = np.random.default_rng(seed)
    rows, columns = (np.mgrid[0:height, 0:width].T / [height, width]).T[..., None]
    phase, wave = rng.uniform(0, 7, (2, num_images, 1, 1, channels))
    images = 128 + 50 * np.sin(9 * rows + phase + wave * columns)
    images += np.where(rows + rng.uniform(-1, 1, (num_images, 1, 1, 1)) * columns > 0.6, 36, -36)
    return images.round().astype(np.uint8)


def damage(images, corrupted):
    """Mean absolute difference of pixels."""
    return np.abs(corrupted.astype(float) - images).mean()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage_grows_with_strength_and_shape_and_type_stay(name, shape):
    images = pictures(40, *shape)
    before = images.copy()
    damages = [0.0]
    for strength in STRENGTHS:
        corrupted = CORRUPTIONS[name](images, strength, 7)
        assert corrupted.shape == images.shape
        assert corrupted.dtype == np.uint8
        damages.append(damage(images, corrupted))
    assert all(weaker < stronger for weaker, stronger in itertools.pairwise(damages)), damages
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_gives_the_same_pixels(name):
    images = pictures(20, 32, 32, 3)
    np.testing.assert_array_equal(CORRUPTIONS[name](images, 3, 5), CORRUPTIONS[name](images, 3, 5))


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"gaussian_blur", "contrast", "jpeg"}))
def test_another_seed_gives_others(name):
    images = pictures(20, 32, 32, 3)
    assert (CORRUPTIONS[name](images, 3, 5) != CORRUPTIONS[name](images, 3, 6)).any()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_do_not_depend_on_those_behind_them_and_any_number_will_do(name, monkeypatch):
    monkeypatch.setattr("tinysight.evaluation.corruptions.CHUNK", 16)
    images = pictures(40, 16, 16, 1)
    whole = CORRUPTIONS[name](images, 4, 0)
    np.testing.assert_array_equal(whole[:32], CORRUPTIONS[name](images[:32], 4, 0))
    assert CORRUPTIONS[name](images[:0], 4, 0).shape == (0, 16, 16, 1)
    assert CORRUPTIONS[name](images[:1], 4, 0).shape == (1, 16, 16, 1)


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "shift", "occlusion"])
def test_chunks_have_random_numbers_of_their_own(name, monkeypatch):
    monkeypatch.setattr("tinysight.evaluation.corruptions.CHUNK", 8)
    images = np.repeat(pictures(1, 16, 16, 1), 16, axis=0)
    corrupted = CORRUPTIONS[name](images, 4, 0)
    assert (corrupted[:8] != corrupted[8:]).any()


@pytest.mark.parametrize("name", ["gaussian_blur", "motion_blur", "shift", "rotation", "occlusion"])
def test_lengths_grow_with_the_image(name):
    """The same scene drawn at twice the size is damaged about as much."""
    small, large = pictures(200, 32, 32, 3), pictures(200, 64, 64, 3)
    ratio = damage(large, CORRUPTIONS[name](large, 3, 0)) / damage(small, CORRUPTIONS[name](small, 3, 0))
    assert 0.8 < ratio < 1.25


@pytest.mark.parametrize("name", ["gaussian_blur", "motion_blur", "brightness", "contrast", "rotation", "shift"])
def test_a_flat_image_has_no_edges_to_lose(name):
    """Repeated edges bring no dark borders; what changes brightness keeps it the same everywhere."""
    corrupted = CORRUPTIONS[name](np.full((20, 32, 32, 3), 100, np.uint8), 5, 0)
    assert (corrupted == corrupted[:, :1, :1]).all()
    if name != "brightness":
        assert (corrupted == 100).all()


def test_noise_has_the_deviation_that_its_strength_says():
    grey = np.full((50, 32, 32, 3), 128, np.uint8)
    assert CORRUPTIONS["gaussian_noise"](grey, 3, 0).astype(float).std() == pytest.approx(17, rel=0.02)
    # Poisson noise of 100 photons at white: sqrt(128 / 255 * 100) photons of 2.55 levels each.
    assert CORRUPTIONS["shot_noise"](grey, 3, 0).astype(float).std() == pytest.approx(2.55 * np.sqrt(50.2), rel=0.02)
    salted = CORRUPTIONS["impulse_noise"](grey, 5, 0)
    assert (salted == 0).mean() == pytest.approx(0.05, rel=0.1)
    assert (salted == 255).mean() == pytest.approx(0.05, rel=0.1)


def test_contrast_keeps_the_mean_and_shrinks_the_spread():
    images = pictures(20, 32, 32, 3)
    faded = CORRUPTIONS["contrast"](images, 4, 0).astype(float)
    np.testing.assert_allclose(faded.mean(axis=(1, 2, 3)), images.mean(axis=(1, 2, 3)), atol=0.5)
    np.testing.assert_allclose(faded.std(axis=(1, 2, 3)), 0.3 * images.std(axis=(1, 2, 3)), rtol=0.02)


def test_a_blur_has_the_deviation_that_its_strength_says():
    """The spread of a line is the Gaussian's, and that of the pixel it is taken over (1/12)."""
    line = np.zeros((1, 32, 32, 1), np.uint8)
    line[0, 16] = 255
    profile = CORRUPTIONS["gaussian_blur"](line, 5, 0)[0, :, 0, 0].astype(float)
    spread = (profile * (np.arange(32) - 16) ** 2).sum() / profile.sum()
    assert spread == pytest.approx(2.0**2 + 1 / 12, rel=0.03)


def test_a_shift_moves_by_whole_pixels_where_its_direction_is_straight():
    images = pictures(60, 32, 32, 1)
    shifted = CORRUPTIONS["shift"](images, 2, 0)
    straight = [np.roll(images, step, axis)[:, 2:-2, 2:-2] for axis in (1, 2) for step in (-2, 2)]
    hits = [(move == shifted[:, 2:-2, 2:-2]).all(axis=(1, 2, 3)) for move in straight]
    assert all(hit.any() for hit in hits)
    assert 0.3 < np.any(hits, axis=0).mean() < 0.7


def test_rotations_go_both_ways_and_leave_the_middle():
    images = pictures(40, 33, 33, 1)
    turned = CORRUPTIONS["rotation"](images, 5, 0)
    np.testing.assert_array_equal(turned[:, 16, 16], images[:, 16, 16])
    mark = np.zeros((40, 33, 33, 1), np.uint8)
    mark[:, 2, 16] = 255
    columns = CORRUPTIONS["rotation"](mark, 5, 0).max(axis=1)[..., 0].argmax(axis=1)
    assert set(columns) == {9, 23}


def test_brightness_goes_both_ways_about_equally():
    grey = np.full((400, 8, 8, 1), 128, np.uint8)
    values = CORRUPTIONS["brightness"](grey, 1, 0)[:, 0, 0, 0]
    assert set(values) == {113, 143}
    assert 150 < (values == 143).sum() < 250


def test_an_occlusion_hides_a_square_of_the_mean_colour():
    images = pictures(30, 32, 32, 3)
    hidden = CORRUPTIONS["occlusion"](images, 3, 0)
    changed = (hidden != images).any(axis=-1)
    sides = changed.any(axis=2).sum(axis=1)
    assert ((sides >= 11) & (sides <= 14)).all()
    for image, covered, where in zip(images, hidden, changed, strict=True):
        np.testing.assert_allclose(
            covered[where], np.broadcast_to(image.mean(axis=(0, 1)), covered[where].shape), atol=0.51
        )


@pytest.mark.parametrize("strength", [0, 6, 2.5, -1])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_other_strengths_are_refused(name, strength):
    with pytest.raises(InvalidValueError, match=f"the strength is {strength}"):
        CORRUPTIONS[name](pictures(1, 8, 8, 1), strength, 0)


@pytest.mark.parametrize(
    "images", [np.zeros((8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8, 4), np.uint8)]
)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_are_no_images_are_refused(name, images):
    with pytest.raises(InvalidValueError, match="images are"):
        CORRUPTIONS[name](images, 1, 0)
