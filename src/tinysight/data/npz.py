"""Images and labels in a NumPy archive."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.listing import sorted_classes
from tinysight.data.scan import class_name
from tinysight.errors import DataError, InvalidValueError

# For each split, the pairs of keys that are looked for; the first is what our own words are.
_PAIRS = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels"), ("x", "y")),
    "validation": (("x_val", "y_val"), ("x_validation", "y_validation"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}


@dataclass(frozen=True, eq=False)
class Archive:
    """What a NumPy archive holds.

    Attributes:
        images: for each split uint8 (n, height, width) or (n, height, width, channels).
        labels: for each split int32 (n,), indices into `class_names`.
        class_names: in label order.
        groups: for each image of the one split, or None.
    """

    images: Mapping[str, NDArray[np.uint8]]
    labels: Mapping[str, NDArray[np.int32]]
    class_names: tuple[str, ...]
    groups: NDArray[Any] | None


def read_npz(path: Path, group_key: str | None = None) -> Archive:
    """Reads `images` and `labels`, or `x_train`, `y_train`, `x_test`, `y_test` as Keras's data sets have them.

    Args:
        path: the archive; arrays of Python objects in it are refused, as they could run code.
        group_key: the array that says which object an image shows, beside `images` and `labels`; or None.

    Raises:
        DataError: when it is damaged, or its arrays are not of those names, types and shapes; the text says which.
        InvalidValueError: when the group array is not there.
    """
    try:
        # The file is opened here, as NumPy leaves that of a damaged archive open.
        with path.open("rb") as file:
            return _read(path, np.load(file, allow_pickle=False), group_key)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"'{path}' cannot be read as a NumPy archive: {' '.join(str(error).split())}") from None


def _read(path: Path, archive: Any, group_key: str | None) -> Archive:
    if not hasattr(archive, "files"):
        raise DataError(f"'{path}' holds a single array; expected an archive with images and labels")
    keys = {split: _keys(archive.files, pairs) for split, pairs in _PAIRS.items()}
    if keys["train"] is None:
        raise DataError(
            f"'{path}' holds {', '.join(archive.files) or 'nothing'}; expected images and labels, or x_train, y_train,"
            " x_test and y_test"
        )
    present = {split: pair for split, pair in keys.items() if pair is not None}
    images = {split: _images(path, pair[0], archive[pair[0]]) for split, pair in present.items()}
    raw = {split: _labels(path, pair[1], archive[pair[1]], len(images[split])) for split, pair in present.items()}
    names = _given_names(path, archive)
    labels, class_names = _number(path, raw, names)
    return Archive(images, labels, class_names, _groups(path, archive, group_key, images))


def _keys(files: list[str], pairs: tuple[tuple[str, str], ...]) -> tuple[str, str] | None:
    return next((pair for pair in pairs if set(pair) <= set(files)), None)


def _images(path: Path, key: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise DataError(
            f"'{path}': {key} is {images.dtype}; expected uint8 with raw pixels 0..255: undo any scaling and convert"
            " with .astype('uint8')"
        )
    if images.ndim not in (3, 4) or 0 in images.shape or (images.ndim == 4 and images.shape[3] not in (1, 3, 4)):
        raise DataError(
            f"'{path}': {key} has shape {images.shape}; expected (n, height, width) or (n, height, width, channels)"
            " with 1, 3 or 4 channels"
        )
    return images if images.ndim == 4 else images[..., np.newaxis]


def _labels(path: Path, key: str, labels: NDArray[Any], num_images: int) -> NDArray[Any]:
    # keras.datasets.cifar10 has labels of shape (n, 1).
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.shape != (num_images,) or flat.dtype.kind not in "iuUS":
        raise DataError(
            f"'{path}': {key} is {labels.dtype} of shape {labels.shape}; expected integers or text, one for each of"
            f" {num_images:,} images"
        )
    return np.char.decode(flat, "utf-8") if flat.dtype.kind == "S" else flat


def _given_names(path: Path, archive: Any) -> tuple[str, ...] | None:
    if "class_names" not in archive.files:
        return None
    names = archive["class_names"]
    if names.ndim != 1 or names.dtype.kind != "U" or len({class_name(str(name)) for name in names}) != len(names):
        raise DataError(f"'{path}': class_names is {names.dtype} of shape {names.shape}; expected distinct texts")
    return tuple(class_name(str(name)) for name in names)


def _number(
    path: Path, raw: Mapping[str, NDArray[Any]], names: tuple[str, ...] | None
) -> tuple[dict[str, NDArray[np.int32]], tuple[str, ...]]:
    """Labels as indices; the class names are those given, or the labels themselves in natural order."""
    if names is not None and all(labels.dtype.kind in "iu" for labels in raw.values()):
        outside = [int(label) for labels in raw.values() for label in (labels.min(), labels.max())]
        if min(outside) < 0 or max(outside) >= len(names):
            raise DataError(
                f"'{path}': labels run from {min(outside)} to {max(outside)}; expected 0 to {len(names) - 1} for"
                f" {len(names)} class_names"
            )
        return {split: labels.astype(np.int32) for split, labels in raw.items()}, names
    texts = {split: np.unique(labels, return_inverse=True) for split, labels in raw.items()}
    found = {split: [class_name(str(value)) for value in values] for split, (values, _) in texts.items()}
    class_names = sorted_classes((name for each in found.values() for name in each), names)
    number = {name: position for position, name in enumerate(class_names)}
    unknown = sorted({name for each in found.values() for name in each}.difference(number))
    if unknown:
        raise DataError(f"'{path}': labels have '{unknown[0]}', which is not in class_names")
    table = {split: np.array([number[name] for name in each], np.int32) for split, each in found.items()}
    return {split: table[split][inverse] for split, (_, inverse) in texts.items()}, class_names


def _groups(path: Path, archive: Any, key: str | None, images: Mapping[str, NDArray[np.uint8]]) -> NDArray[Any] | None:
    if key is None:
        return None
    if key not in archive.files or len(images) > 1:
        raise InvalidValueError(
            f"'{path}' has no array '{key}' to group by; found: {', '.join(archive.files)}"
            if key not in archive.files
            else f"'{path}' brings its own splits, which are used as they are; leave --group-by out"
        )
    groups: NDArray[Any] = archive[key]
    if groups.shape != images["train"].shape[:1] or groups.dtype.kind not in "iuU":
        raise InvalidValueError(
            f"'{path}': {key} is {groups.dtype} of shape {groups.shape}; expected integers or text, one an image"
        )
    return groups
