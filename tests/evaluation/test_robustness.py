from __future__ import annotations

import numpy as np
import pytest
from quadrants import quadrants

from tinysight.errors import InvalidValueError
from tinysight.evaluation.robustness import corruption_examples, measure_robustness, stratified_subset
from tinysight.metrics.intervals import wilson


def brightest_quadrant(images: np.ndarray) -> np.ndarray:
    """A classifier that is always right on the quadrants: uint8 images to probabilities."""
    half = images.shape[1] // 2
    lit = (images > 200).sum(axis=3)
    sums = [lit[:, rows, columns].sum(axis=(1, 2)) for rows in (slice(half), slice(half, None)) for columns in (
        slice(half), slice(half, None))]  # fmt: skip
    return np.asarray(np.eye(4, dtype=np.float32)[np.stack(sums, axis=1).argmax(axis=1)])


def darken_first(images: np.ndarray, strength: int, seed: int) -> np.ndarray:
    """Blackens the first `strength` tenths of the images, so that they are taken for the first class."""
    result = images.copy()
    result[: len(images) * strength // 10] = 0
    return result


def untouched(images: np.ndarray, strength: int, seed: int) -> np.ndarray:
    return images


def test_accuracy_by_strength() -> None:
    images = quadrants(200)
    lines: list[str] = []
    found = measure_robustness(
        brightest_quadrant, images, {"darken": darken_first, "untouched": untouched}, say=lines.append
    )
    record = found.to_dict()
    assert record["clean"] == {**record["clean"], "value": 1.0, "n": 200}
    darken, plain = record["corruptions"]
    # A quarter of the blackened ones is of the first class and stays right.
    assert [figure["value"] for figure in darken["accuracy"]] == [0.925, 0.85, 0.775, 0.7, 0.625]
    assert darken["accuracy"][0]["interval"] == pytest.approx(list(wilson(185, 200)))
    assert darken["mean_accuracy"] == pytest.approx(0.775)
    assert darken["drop"] == pytest.approx(0.225)
    assert (plain["name"], plain["drop"]) == ("untouched", 0)
    assert record["mean_accuracy"] == pytest.approx((0.775 + 1) / 2)
    assert found.corruptions[0].right.shape == (5, 200)
    assert len(lines) == 2


def test_uses_a_seeded_share_of_each_class() -> None:
    seen = []

    def predict(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return brightest_quadrant(images)

    images = quadrants(300).take(np.arange(0, 300))
    found = measure_robustness(predict, images, {"untouched": untouched}, num_images=40, seed=3)
    assert seen == [40] * 6
    assert np.bincount(images.labels[found.indices]).tolist() == [10] * 4
    again = measure_robustness(predict, images, {"untouched": untouched}, num_images=40, seed=3)
    np.testing.assert_array_equal(found.indices, again.indices)


@pytest.mark.parametrize(("counts", "wanted"), [((50, 30, 20), 10), ((997, 2, 1), 100), ((7, 7, 7), 20), ((5,), 5)])
def test_subset(counts: tuple[int, ...], wanted: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    chosen = stratified_subset(labels, wanted, seed=1)
    assert len(set(chosen)) == len(chosen) == min(wanted, len(labels))
    assert (np.diff(chosen) > 0).all()
    shares = np.bincount(labels[chosen], minlength=len(counts))
    assert np.abs(shares - np.array(counts) * wanted / len(labels)).max() <= 1


def test_examples() -> None:
    image = quadrants(1).images[0]
    found = corruption_examples(image, {"untouched": untouched, "darken": lambda i, s, seed: i // np.uint8(s)})
    assert (found.shape, found.dtype) == ((2, 6, *image.shape), np.uint8)
    np.testing.assert_array_equal(found[0], np.stack([image] * 6))
    np.testing.assert_array_equal(found[1, 5], image // 5)


def test_bad_input() -> None:
    images = quadrants(8)
    with pytest.raises(InvalidValueError, match="0 corruptions"):
        measure_robustness(brightest_quadrant, images, {})
    with pytest.raises(InvalidValueError, match="0 images"):
        measure_robustness(brightest_quadrant, images.take(np.arange(0)), {"untouched": untouched})
    with pytest.raises(InvalidValueError, match="num_images is 0"):
        measure_robustness(brightest_quadrant, images, {"untouched": untouched}, num_images=0)
