"""Classes of unequal size: what is weighted, what is drawn, and what is said about it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import stripes
from weighted_loss import COUNTS, weighted_losses

from tinysight.errors import InvalidValueError
from tinysight.recipe import make_recipe
from tinysight.stored import open_rows
from tinysight.training.balance import balance_words, balanced_order, balanced_weights
from tinysight.training.feed import Feed

LABELS = np.repeat(np.arange(4), [100, 30, 7, 3]).astype(np.int32)[np.random.default_rng(0).permutation(140)]


class TestWeights:
    def test_as_scikit_learn_has_them(self) -> None:
        from sklearn.utils.class_weight import compute_class_weight

        expected = compute_class_weight("balanced", classes=np.arange(4), y=LABELS)
        weights = balanced_weights(np.bincount(LABELS))
        np.testing.assert_allclose(weights, expected, rtol=1e-6)
        assert weights[LABELS].mean() == pytest.approx(1)

    def test_a_class_without_images(self) -> None:
        np.testing.assert_allclose(balanced_weights(np.array([6, 0, 2])), [4 / 6, 0, 2])

    def test_the_training_loss_is_weighted_and_no_other(self, keras_module: Any) -> None:
        found = weighted_losses()
        mean = sum(COUNTS) / len(COUNTS)
        for coding in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
            # One image of each class: the weights are n / (classes x count).
            expected = math.log(4) * np.mean([mean / count for count in COUNTS])
            assert found[coding]["training"] == pytest.approx(expected, rel=1e-5)
            assert found[coding]["validation"] == pytest.approx(math.log(4), rel=1e-5)


class TestOrder:
    def test_as_many_images_and_the_same_of_each_class(self) -> None:
        order = balanced_order(LABELS, 5, 0)
        assert len(order) == len(LABELS)
        np.testing.assert_array_equal(np.bincount(LABELS[order]), [35, 35, 35, 35])
        times = np.bincount(order, minlength=len(LABELS))
        for label, (fewest, most) in enumerate([(0, 1), (1, 2), (5, 5), (11, 12)]):
            own = times[label == LABELS]
            assert (own.min(), own.max()) == (fewest, most)

    def test_a_function_of_seed_and_epoch(self) -> None:
        np.testing.assert_array_equal(balanced_order(LABELS, 5, 2), balanced_order(LABELS, 5, 2))
        assert not np.array_equal(balanced_order(LABELS, 5, 2), balanced_order(LABELS, 5, 3))
        assert not np.array_equal(balanced_order(LABELS, 5, 2), balanced_order(LABELS, 6, 2))

    def test_what_cannot_be_shared_out_goes_to_other_classes_each_time(self) -> None:
        counts = [np.bincount(LABELS[:139][balanced_order(LABELS[:139], 0, epoch)]) for epoch in range(20)]
        assert all(count.sum() == 139 and set(count) == {34, 35} for count in counts)
        assert len({tuple(count) for count in counts}) > 1

    def test_over_epochs_every_image_of_a_large_class_is_seen(self) -> None:
        seen = np.unique(np.concatenate([balanced_order(LABELS, 0, epoch) for epoch in range(25)]))
        assert len(seen) == len(LABELS)

    def test_of_images_on_disk_that_are_resumed(self, tmp_path: Path) -> None:
        images = stripes(140)
        (tmp_path / "pixels.u8").write_bytes(images.images.tobytes())
        stored = open_rows(tmp_path / "pixels.u8", images.images.shape)
        rows = np.flatnonzero(LABELS != 1)
        unequal: Any = type(images)(images=stored, labels=LABELS, class_names=images.class_names)  # type: ignore[arg-type]
        feed = Feed(unequal, rows=rows, batch_size=10, seed=3, one_hot=False, balanced=True)
        feed.epoch = 4
        whole = feed.order()
        assert set(np.bincount(LABELS[whole], minlength=4)) == {36, 0, 37}
        assert set(whole) <= set(rows)
        feed.skip = 7
        np.testing.assert_array_equal(feed.order(), whole[70:])
        pixels, labels = feed.look_up(whole[:10])
        np.testing.assert_array_equal(pixels, images.images[whole[:10]])
        np.testing.assert_array_equal(labels, LABELS[whole[:10]])


class TestWords:
    NAMES, COUNTS = ("cat", "dog", "owl"), (900, 90, 10)

    def test_weights(self) -> None:
        text = balance_words(make_recipe({"class_weights": "balanced"}), self.NAMES, self.COUNTS)
        assert "an image of owl (10 images) counts 33.3 times in the loss, one of cat (900 images) 0.37 times" in text
        assert "only the training loss is weighted" in text

    def test_sampling(self) -> None:
        text = balance_words(make_recipe({"sampling": "balanced"}), self.NAMES, self.COUNTS)
        assert "1,000 images in all: one of owl (10 images) is seen 33.3 times an epoch" in text
        assert "one of cat (900 images) 0.37 times" in text

    def test_nothing_was_done(self) -> None:
        text = balance_words(make_recipe({}), self.NAMES, self.COUNTS)
        assert text == "all images count alike: 90 times as many of cat (900 images) as of owl (10 images)"
        assert balance_words(make_recipe({}), self.NAMES, (100, 90, 80)) == ""

    def test_both_at_once(self) -> None:
        with pytest.raises(InvalidValueError, match="would even out classes twice: choose one"):
            make_recipe({"class_weights": "balanced", "sampling": "balanced"})
