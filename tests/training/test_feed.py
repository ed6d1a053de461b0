"""Every image exactly once an epoch, in an order that seed and epoch alone decide."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_data import numbered_images

COUNT, BATCH = 100, 7  # 14 batches of 7 and one of 2


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def make_feed(**arguments: Any) -> Any:
    from tinysight.training.feed import Feed

    return Feed(numbered_images(COUNT), **{"batch_size": BATCH, "seed": 3, "one_hot": False, **arguments})


def epochs_of(feed: Any, count: int) -> Iterator[list[tuple[NDArray[np.uint8], NDArray[Any]]]]:
    batches = feed.for_backend()
    for epoch in range(count):
        feed.epoch = epoch
        yield [(pixels.numpy(), labels.numpy()) for pixels, labels in batches]


def identify(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(number, whether mirrored) of images that `numbered_images` made."""
    mirrored = pixels[:, 0, -2, 0] == 255
    return np.where(mirrored, pixels[:, 0, -1, 0], pixels[:, 0, 0, 0]).astype(np.int64), mirrored


def test_each_image_once_with_its_label() -> None:
    for batches in epochs_of(make_feed(), 2):
        assert [len(pixels) for pixels, _ in batches] == [BATCH] * 14 + [2]
        numbers, mirrored = identify(np.concatenate([pixels for pixels, _ in batches]))
        assert sorted(numbers) == list(range(COUNT))
        assert not mirrored.any()
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), numbers % 3)


def test_no_thread_tunes_the_batches() -> None:
    """It may sleep on for seconds when an epoch is given up halfway, as `--minutes` does."""
    assert make_feed().for_backend().options().autotune.enabled is False


def test_order_is_of_seed_and_epoch_alone() -> None:
    from tinysight.training.feed import epoch_order

    def numbers(seed: int, count: int) -> list[list[int]]:
        return [
            list(identify(np.concatenate([pixels for pixels, _ in batches]))[0])
            for batches in epochs_of(make_feed(seed=seed), count)
        ]

    first, second = numbers(3, 2)
    assert first == list(epoch_order(COUNT, 3, 0))
    assert second == list(epoch_order(COUNT, 3, 1))
    assert first != second
    assert numbers(4, 1)[0] != first
    # The words of Philox are the same on every platform and version of NumPy.
    assert list(epoch_order(10, 0, 0)) == list(np.random.Generator(np.random.Philox(key=[0, 0])).permutation(10))


def test_looking_twice_does_not_move_the_epoch_on() -> None:
    feed = make_feed()
    (first,) = epochs_of(feed, 1)
    (again,) = epochs_of(feed, 1)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))


def test_without_a_seed_in_the_order_of_the_images() -> None:
    (batches,) = epochs_of(make_feed(seed=None), 1)
    assert list(identify(np.concatenate([pixels for pixels, _ in batches]))[0]) == list(range(COUNT))


def test_alternating_mirrors_each_image_in_every_second_epoch() -> None:
    states = []
    for batches in epochs_of(make_feed(alternate=True), 4):
        numbers, mirrored = identify(np.concatenate([pixels for pixels, _ in batches]))
        assert sorted(numbers) == list(range(COUNT))
        states.append(mirrored[np.argsort(numbers)])
        assert mirrored.sum() == COUNT // 2
    for before, after in pairwise(states):
        np.testing.assert_array_equal(before, ~after)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mirror_image_has_the_colours_of_its_image(channels: int) -> None:
    from tinysight.images import ImageSet
    from tinysight.training.feed import Feed

    pixels = np.random.default_rng(0).integers(0, 256, (20, 6, 5, channels)).astype(np.uint8)
    images = ImageSet(images=pixels, labels=np.zeros(20, np.int32), class_names=("only",))
    feed = Feed(images, batch_size=20, seed=None, one_hot=False, alternate=True)
    before = pixels.copy()
    seen, _ = feed.look_up(feed.order())
    np.testing.assert_array_equal(seen[::2], pixels[::2])
    np.testing.assert_array_equal(seen[1::2], pixels[1::2, :, ::-1])
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(("batch_size", "size_of_all"), [(BATCH, None), (10, 10), (COUNT, COUNT)])
def test_where_batches_are_of_one_size_the_compiled_step_knows_it(batch_size: int, size_of_all: int | None) -> None:
    feed = make_feed(batch_size=batch_size, one_hot=True)
    pixels, labels = feed.for_backend().element_spec
    assert (pixels.shape.as_list(), labels.shape.as_list()) == ([size_of_all, 8, 8, 1], [size_of_all, 3])
    (batches,) = epochs_of(feed, 1)
    assert len(batches) == feed.num_steps
    numbers = identify(np.concatenate([pixels for pixels, _ in batches]))[0]
    assert list(numbers) == list(feed.order())


def test_rows_choose_images() -> None:
    rows = np.array([5, 50, 99, 7], np.int64)
    for alternate in (False, True):
        (batches,) = epochs_of(make_feed(rows=rows, batch_size=3, alternate=alternate), 1)
        numbers, _ = identify(np.concatenate([pixels for pixels, _ in batches]))
        assert sorted(numbers) == [5, 7, 50, 99]


def test_skipped_steps_are_those_at_the_beginning() -> None:
    (whole,) = epochs_of(make_feed(), 1)
    feed = make_feed()
    feed.skip = 10
    (rest,) = epochs_of(feed, 1)
    assert len(rest) == 5
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(whole[10:], rest, strict=True))


def test_one_hot() -> None:
    (batches,) = epochs_of(make_feed(one_hot=True), 1)
    for pixels, labels in batches:
        assert (labels.dtype, labels.shape) == (np.float32, (len(pixels), 3))
        np.testing.assert_array_equal(labels.argmax(axis=1), identify(pixels)[0] % 3)
        np.testing.assert_array_equal(labels.sum(axis=1), 1)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinysight.training import feed as module

    (whole,) = epochs_of(make_feed(), 1)
    monkeypatch.setattr(module, "BLOCK_IMAGES", 20)
    (in_blocks,) = epochs_of(make_feed(), 1)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(whole, in_blocks, strict=True))


def test_a_real_fit_sees_each_image_once_an_epoch(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several steps an execution, whose last group and last batch are both short."""
    from tinysight.recipe import make_recipe
    from tinysight.training import fit as module

    monkeypatch.setattr(module, "IMAGES_PER_EXECUTION", 4 * BATCH)

    class Count(keras_module.layers.Layer):  # type: ignore[misc,name-defined]
        def build(self, shape: Any) -> None:
            self.seen = self.add_weight(shape=(2, 256), initializer="zeros", trainable=False)

        def call(self, images: Any, training: bool = False) -> Any:
            ops = keras_module.ops
            if training:
                mirrored = ops.cast(images[:, 0, -2, 0] > 254, "int32")
                numbers = ops.where(mirrored > 0, images[:, 0, -1, 0], images[:, 0, 0, 0])
                rows = ops.one_hot(mirrored, 2)[:, :, None] * ops.one_hot(ops.cast(numbers, "int32"), 256)[:, None, :]
                self.seen.assign_add(ops.sum(rows, axis=0))
            return images

    count = Count()
    layers = keras_module.layers
    net = keras_module.Sequential(
        [keras_module.Input((8, 8, 1)), count, layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)]
    )
    recipe = make_recipe({"scaling": "none", "batch_size": BATCH, "epochs": 4, "flip": "alternating"})
    images = numbered_images(COUNT)
    result = module.fit(recipe, net, images, images, history_path=tmp_path / "history.csv", quiet=True)
    assert result.epochs_completed == 4
    seen = np.asarray(count.seen)
    np.testing.assert_array_equal(seen[:, :COUNT], 2)
    assert seen.sum() == 4 * COUNT
