from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinysight.data.own import OwnData
from tinysight.data.source import load_data
from tinysight.errors import DataError, InvalidValueError

RNG = np.random.default_rng(0)


def images(count: int, *shape: int) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 256, (count, *shape)).astype(np.uint8)


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_images_and_labels_are_cut_by_class(tmp_path: Path) -> None:
    pixels, labels = images(40, 10, 12), np.repeat([10, 2], 20)
    data = load_data(write(tmp_path / "d.npz", images=pixels, labels=labels))
    assert isinstance(data, OwnData)
    assert data.class_names == ("2", "10")
    assert data.image_shape == (10, 12, 1)
    assert data.test.counts().tolist() == [4, 4]
    np.testing.assert_array_equal(data.train.images[..., 0], pixels[data.indices["train"]])
    np.testing.assert_array_equal(data.train.labels, labels[data.indices["train"]] == 10)


def test_the_layout_of_keras_data_sets(tmp_path: Path) -> None:
    arrays = {
        "x_train": images(30, 8, 8, 3), "y_train": np.arange(30).reshape(-1, 1) % 3,
        "x_test": images(9, 8, 8, 3), "y_test": np.arange(9).reshape(-1, 1) % 3,
    }  # fmt: skip
    data = load_data(write(tmp_path / "d.npz", **arrays, class_names=np.array(["x", "b", "a"])))
    assert data.class_names == ("x", "b", "a")
    np.testing.assert_array_equal(data.train.images, arrays["x_train"])
    np.testing.assert_array_equal(data.test.images, arrays["x_test"])
    np.testing.assert_array_equal(data.test.labels, np.arange(9) % 3)


def test_text_labels_sizes_and_alpha(tmp_path: Path) -> None:
    path = write(tmp_path / "d.npz", images=images(12, 100, 50, 4), labels=np.array(["dog", "cat"] * 6))
    data = load_data(path)
    assert data.class_names == ("cat", "dog")
    assert data.image_shape == (64, 32, 3)
    assert load_data(path, image_size=(8, 8), channels=1).image_shape == (8, 8, 1)


def test_groups_are_an_array(tmp_path: Path) -> None:
    groups = np.arange(40) // 4
    path = write(tmp_path / "d.npz", images=images(40, 8, 8), labels=np.arange(40) % 2, who=groups)
    data = load_data(path, group_by="who")
    assert isinstance(data, OwnData)
    assert not set(groups[data.indices["train"]]) & set(groups[data.indices["test"]])
    for wrong in ("nobody", "(x)", "images"):
        with pytest.raises(InvalidValueError):
            load_data(path, group_by=wrong)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"images": images(4, 8, 8)}, "holds images; expected images and labels"),
        ({"images": images(4, 8, 8) / 255, "labels": [0, 1, 0, 1]}, "images is float64; expected uint8"),
        ({"images": images(4, 64), "labels": [0, 1, 0, 1]}, "images has shape (4, 64)"),
        ({"images": images(4, 8, 8, 2), "labels": [0, 1, 0, 1]}, "images has shape (4, 8, 8, 2)"),
        ({"images": images(0, 8, 8), "labels": np.zeros(0, int)}, "images has shape (0, 8, 8)"),
        ({"images": images(4, 8, 8), "labels": [0, 1, 0]}, "one for each of 4 images"),
        ({"images": images(4, 8, 8), "labels": [0.0, 1, 0, 1]}, "labels is float64"),
        ({"images": images(4, 8, 8), "labels": [0, 0, 0, 0]}, "holds one class, '0'"),
        ({"images": images(4, 8, 8), "labels": [0, 1, 0, 2], "class_names": ["a", "b"]}, "labels run from 0 to 2"),
        ({"images": images(4, 8, 8), "labels": [0, 1, 0, 1], "class_names": ["a", "a"]}, "expected distinct texts"),
        ({"images": images(3, 8, 8), "labels": [0, 1, 0]}, "the class '1' has a single image"),
        (
            {"x_train": images(4, 8, 8), "y_train": [0, 1, 0, 1], "x_test": images(2, 8, 8), "y_test": [0, 2]},
            "test lacks '1'; test alone has '2'",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arrays: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        load_data(write(tmp_path / "d.npz", **arrays))
    assert text in str(caught.value)


def test_no_pickle_is_loaded_and_damage_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "d.npz", images=images(4, 8, 8), labels=np.array([0, "a", None, 1], dtype=object))
    with pytest.raises(DataError, match="allow_pickle=False"):
        load_data(path)
    path = write(tmp_path / "d.npz", images=images(4, 8, 8), labels=[0, 1, 0, 1])
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read as a NumPy archive"):
        load_data(path)
    np.save(tmp_path / "one.npy", images(4, 8, 8))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(DataError, match="holds a single array"):
        load_data(tmp_path / "one.npz")
