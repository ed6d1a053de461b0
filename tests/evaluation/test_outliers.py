from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quadrants import NAMES, SIDE, quadrants

from tinysight.errors import InvalidValueError
from tinysight.evaluation.outliers import (
    EDGES,
    SOURCES,
    gaussian_noise,
    histogram,
    score_outliers,
    shuffled_patches,
    sure_share,
    uniform_noise,
)
from tinysight.stored import open_rows


def photo(count: int = 5, side: int = 24, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 200, (count, side, side + 3, channels), dtype=np.uint8)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(("side", "channels"), [(24, 3), (28, 1), (5, 1), (2, 3)])
def test_shape_type_and_seed(name: str, side: int, channels: int) -> None:
    images = photo(side=side, channels=channels)
    found = SOURCES[name](images, 9, 4)
    assert (found.shape, found.dtype) == ((9, side, side + 3, channels), np.uint8)
    np.testing.assert_array_equal(found, SOURCES[name](images, 9, 4))
    assert (found != SOURCES[name](images, 9, 5)).any()


def test_noise_is_as_it_says() -> None:
    images = np.concatenate([np.full((50, 8, 8, 1), 20, np.uint8), np.full((50, 8, 8, 1), 60, np.uint8)])
    images = np.concatenate([images, images + 100], axis=3)
    noise = gaussian_noise(np.repeat(images, 2, axis=3)[..., :3], 400, 0).astype(float)
    np.testing.assert_allclose(noise.mean(axis=(0, 1, 2)), [40, 40, 140], atol=1)
    np.testing.assert_allclose(noise.std(axis=(0, 1, 2)), 20, atol=1)
    uniform = uniform_noise(images, 400, 0)
    assert uniform.mean() == pytest.approx(127.5, abs=1)
    assert (uniform.min(), uniform.max()) == (0, 255)


@pytest.mark.parametrize("on_disk", [False, True])
def test_noise_of_many_images_is_as_it_says(on_disk: bool, tmp_path: Path) -> None:
    """Also of images on disk. In float32 the sums of so many pixels would stand still."""
    shape = (9000, 64, 64, 3)
    np.resize(np.array([[201], [249]], np.uint8).repeat(3, 1), shape).tofile(tmp_path / "images.u8")
    images = open_rows(tmp_path / "images.u8", shape)
    noise = gaussian_noise(images if on_disk else np.asarray(images), 50, 0).astype(float)
    # Of a bell around 225 a tenth is cut off at 255.
    assert noise.mean() == pytest.approx(223, abs=2)
    assert np.median(noise) == pytest.approx(225, abs=1)


@pytest.mark.parametrize("name", SOURCES)
def test_images_on_disk_give_what_those_in_memory_do(name: str, tmp_path: Path) -> None:
    photo().tofile(tmp_path / "images.u8")
    stored = open_rows(tmp_path / "images.u8", photo().shape)
    np.testing.assert_array_equal(SOURCES[name](stored, 9, 4), SOURCES[name](photo(), 9, 4))


def test_shuffled_patches_hold_the_same_pixels() -> None:
    number = np.arange(24 * 24).reshape(1, 24, 24)
    image = np.stack([number % 256, number // 256, number * 0], axis=3).astype(np.uint8)
    (found,) = shuffled_patches(image, 1, 3)
    number = found[..., 0].astype(int) + 256 * found[..., 1].astype(int)
    assert sorted(number.ravel()) == list(range(24 * 24))
    assert (number != np.arange(24 * 24).reshape(24, 24)).mean() > 0.5
    # Within a piece the neighbours are what they were.
    for row in range(0, 24, 6):
        for column in range(0, 24, 6):
            piece = number[row : row + 6, column : column + 6]
            np.testing.assert_array_equal(piece - piece[0, 0], np.arange(6) + 24 * np.arange(6)[:, None])


def test_a_model_that_doubts_noise_is_found_out() -> None:
    def predict(images: np.ndarray) -> np.ndarray:
        """Sure of images that are mostly dark, of nothing else."""
        sure = np.where((images > 90).mean(axis=(1, 2, 3)) < 0.2, 0.95, 0.3)[:, None]
        return np.concatenate([sure, np.repeat((1 - sure) / 3, 3, axis=1)], axis=1).astype(np.float32)

    test = quadrants(80)
    others = {"bright": np.full((700, SIDE, SIDE, 1), 200, np.uint8), "dark": np.zeros((30, SIDE, SIDE, 1), np.uint8)}
    found = score_outliers(predict, test.images, predict(test.images), test.labels, others=others, num_images=50)
    assert [item.name for item in found] == [*SOURCES, "bright", "dark"]
    assert [len(item.images) for item in found] == [50, 50, 50, 50, 30]
    by_name = {item.name: item.to_dict(NAMES) for item in found}
    for name, expected in (("uniform noise", 1.0), ("bright", 1.0), ("dark", 0.5), ("shuffled patches", 0.5)):
        assert by_name[name]["auroc"]["probability"]["value"] == expected
        assert by_name[name]["auroc"]["entropy"]["value"] == expected
    assert by_name["dark"]["sure"] == 1
    assert by_name["bright"]["sure"] == 0
    assert by_name["dark"]["auroc"]["entropy"]["n"] == 110
    assert (by_name["dark"]["most_common"], by_name["dark"]["most_common_share"]) == (NAMES[0], 1.0)
    assert sum(by_name["dark"]["counts"]) == 30


def test_histogram_counts_every_image() -> None:
    rows = np.array([[1.0, 0.0], [0.5, 0.5], [0.9, 0.1], [1.0000001, 0.0]], np.float32)
    counts = histogram(rows)
    assert (len(counts), sum(counts), counts[-1]) == (len(EDGES) - 1, 4, 2)
    assert sure_share(rows) == 0.75


def test_bad_predictions() -> None:
    test = quadrants(8)
    with pytest.raises(InvalidValueError):
        score_outliers(lambda images: images, test.images, np.ones((8, 4)), test.labels)
