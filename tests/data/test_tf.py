from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tinysight.data import as_tf_dataset
from tinysight.errors import InvalidValueError
from tinysight.images import ImageSet
from tinysight.stored import open_rows

COUNT = 101


@pytest.fixture(params=["in memory", "on disk"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> ImageSet:
    """Image i has the value i in every pixel."""
    pixels = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None, None], (COUNT, 8, 8, 1)).copy()
    if request.param == "on disk":
        pixels.tofile(tmp_path / "images.u8")
        pixels = open_rows(tmp_path / "images.u8", pixels.shape)  # type: ignore[assignment]
    labels = (np.arange(COUNT) % 3).astype(np.int32)
    return ImageSet(images=pixels, labels=labels, class_names=("a", "b", "c"))


def one_pass(dataset: tf.data.Dataset) -> tuple[list[int], list[int], list[int]]:
    """(which images, their labels, the sizes of the batches)."""
    batches = [(pixels.numpy(), labels.numpy()) for pixels, labels in dataset]
    which = [int(value) for pixels, _ in batches for value in pixels[:, 0, 0, 0]]
    return which, [int(label) for _, labels in batches for label in labels], [len(labels) for _, labels in batches]


def test_every_image_once_a_pass_with_its_label(images: ImageSet) -> None:
    dataset = as_tf_dataset(images, 16, seed=5)
    assert len(dataset) == 7
    assert dataset.element_spec[0].shape.as_list() == [None, 8, 8, 1]
    assert dataset.element_spec[0].dtype == tf.uint8
    first, labels, sizes = one_pass(dataset)
    second, _, _ = one_pass(dataset)
    assert sizes == [16] * 6 + [5]
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert labels == [which % 3 for which in first]
    assert one_pass(as_tf_dataset(images, 16, seed=5))[0] == first
    assert one_pass(as_tf_dataset(images, 16, seed=6))[0] != first


def test_blocks_smaller_than_a_pass_change_nothing(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _, _ = one_pass(as_tf_dataset(images, 8, seed=1))
    monkeypatch.setattr("tinysight.data.tf._BLOCK_IMAGES", 20)
    which, _, sizes = one_pass(as_tf_dataset(images, 8, seed=1))
    assert which == expected
    assert sizes == [8] * 12 + [5]


def test_order_remainder_and_augmentation(images: ImageSet) -> None:
    dataset = as_tf_dataset(images, 16, shuffle=False, drop_remainder=True, augment=lambda pixels: pixels + 1)
    which, labels, sizes = one_pass(dataset)
    assert len(dataset) == 6
    assert sizes == [16] * 6
    assert which == list(range(1, 97))
    assert labels == [i % 3 for i in range(96)]


def test_what_is_out_of_range_is_refused(images: ImageSet) -> None:
    with pytest.raises(InvalidValueError, match="batch size is 0"):
        as_tf_dataset(images, 0)
    with pytest.raises(InvalidValueError, match="seed -1"):
        as_tf_dataset(images, 8, seed=-1)


def test_importing_the_package_does_not_import_tensorflow() -> None:
    check = "import sys, tinysight.data as d; assert 'as_tf_dataset' in dir(d); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
