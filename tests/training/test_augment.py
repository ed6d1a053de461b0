"""Augmentation: what it does to pixels, image by image, and that it is for training only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.recipe import make_recipe

IMAGES = np.random.default_rng(0).uniform(0.1, 1, (64, 9, 7, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def augment(images: NDArray[np.float32] = IMAGES, training: bool = True, **fields: Any) -> NDArray[np.float32]:
    from tinysight.training.augment import Augment

    layer = Augment.from_recipe(make_recipe(fields))
    assert layer is not None
    return np.asarray(layer(images, training=training))


@pytest.mark.parametrize("fields", [{"flip": "random"}, {"translate": 2}, {"cutout": 3}])
class TestAll:
    def test_nothing_happens_when_not_training(self, fields: dict[str, Any]) -> None:
        np.testing.assert_array_equal(augment(training=False, **fields), IMAGES)

    def test_seeded(self, fields: dict[str, Any]) -> None:
        np.testing.assert_array_equal(augment(seed=1, **fields), augment(seed=1, **fields))
        assert not np.array_equal(augment(seed=1, **fields), augment(seed=2, **fields))

    def test_each_call_and_each_image_has_its_own_draw(self, fields: dict[str, Any]) -> None:
        from tinysight.training.augment import Augment

        same = np.repeat(IMAGES[:1], 64, axis=0)
        layer = Augment.from_recipe(make_recipe(fields))
        assert layer is not None
        first, second = np.asarray(layer(same, training=True)), np.asarray(layer(same, training=True))
        assert not np.array_equal(first, second)
        assert len(np.unique(first.reshape(64, -1), axis=0)) > 1


@pytest.mark.parametrize("fields", [{}, {"flip": "alternating"}])
def test_nothing_to_do(fields: dict[str, Any]) -> None:
    from tinysight.training.augment import Augment

    assert Augment.from_recipe(make_recipe(fields)) is None


def test_mirror_about_half_of_the_images() -> None:
    outputs = augment(flip="random")
    mirrored = [np.array_equal(after, before[:, ::-1]) for before, after in zip(IMAGES, outputs, strict=True)]
    kept = [np.array_equal(after, before) for before, after in zip(IMAGES, outputs, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_shifts_fill_the_border_by_mirroring() -> None:
    reach = 2
    outputs = augment(translate=reach)
    padded = np.pad(IMAGES, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    found = set()
    for image, shifted in zip(padded, outputs, strict=True):
        shifts = [
            (down, right)
            for down in range(2 * reach + 1)
            for right in range(2 * reach + 1)
            if np.array_equal(image[down : down + 9, right : right + 7], shifted)
        ]
        assert len(shifts) == 1
        found.update(shifts)
    assert {down for down, _ in found} == {right for _, right in found} == set(range(2 * reach + 1))


def test_the_largest_shift_and_square() -> None:
    assert np.isin(augment(translate=6), IMAGES).all()
    assert (augment(cutout=6) != 0).any(axis=(1, 2, 3)).all()


def test_cutout_blanks_one_whole_square() -> None:
    outputs = augment(cutout=3)
    places = set()
    for before, after in zip(IMAGES, outputs, strict=True):
        blank = (after == 0).all(axis=-1)
        rows, columns = np.nonzero(blank)
        assert blank.sum() == 9
        assert (np.ptp(rows), np.ptp(columns)) == (2, 2)
        np.testing.assert_array_equal(after[~blank], before[~blank])
        places.add((int(rows.min()), int(columns.min())))
    assert {row for row, _ in places} == set(range(7))
    assert {column for _, column in places} == set(range(5))


@pytest.mark.parametrize("key", ["translate", "cutout"])
def test_what_leaves_nothing_of_an_image_is_refused(key: str) -> None:
    from tinysight.training.augment import check_augmentation

    check_augmentation(make_recipe({key: 6}), (9, 7, 3))
    with pytest.raises(InvalidValueError, match=f"{key}=7 leaves nothing of images of 9x7; expected less than 7"):
        check_augmentation(make_recipe({key: 7}), (9, 7, 3))


@pytest.mark.parametrize(
    ("names", "flip"),
    [(("0", "1", "9"), "none"), (("a", "B"), "none"), (("cat", "dog"), "alternating"), (("1", "10"), "alternating")],
)
def test_characters_are_not_mirrored_unless_one_says_so(names: tuple[str, ...], flip: str) -> None:
    from tinysight.training.augment import resolve_flip

    resolved = resolve_flip(make_recipe({"flip": "auto", "flip_predictions": True}), names)
    assert (resolved.flip, resolved.flip_predictions) == (flip, flip == "alternating")
    said = make_recipe({"flip": "random", "flip_predictions": True})
    assert resolve_flip(said, names) == said
