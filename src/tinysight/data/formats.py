"""Bytes on disk to images in memory: the CIFAR binary files and the IDX files of MNIST.

Every reader knows how much it expects and checks it before it believes a file. No pickle is ever loaded.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import DataError
from tinysight.images import ImageSet

CIFAR_SHAPE = (32, 32, 3)
IDX_IMAGES_MAGIC, IDX_LABELS_MAGIC = 0x00000803, 0x00000801


def read_cifar(
    paths: Sequence[Path],
    *,
    num_images: int,
    class_names: tuple[str, ...],
    num_label_bytes: int = 1,
    label_byte: int = 0,
) -> ImageSet:
    """The images of CIFAR binary files, in the order of `paths`.

    A record is `num_label_bytes` labels, then 3,072 bytes of pixels: 1,024 red, 1,024 green, 1,024 blue, each row
    by row (https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version").

    Args:
        paths: the files; each holds an equal part of the images.
        num_images: how many images all files hold together.
        class_names: one name per class; a label outside them is an error.
        num_label_bytes: 1 for CIFAR-10; 2 for CIFAR-100, coarse then fine.
        label_byte: which of the label bytes is read.

    Returns:
        uint8 images (num_images, 32, 32, 3), C-contiguous, and int32 labels (num_images,).

    Raises:
        DataError: when a file is missing, has another size, or has a label outside the classes.
    """
    height, width, channels = CIFAR_SHAPE
    num_each = num_images // len(paths)
    images = np.empty((num_images, height, width, channels), np.uint8)
    labels = np.empty(num_images, np.int32)
    for number, path in enumerate(paths):
        part = slice(number * num_each, (number + 1) * num_each)
        records = _cifar_records(path, num_each, num_label_bytes + height * width * channels)
        labels[part] = _checked_labels(records[:, label_byte], len(class_names), path)
        pixels = records[:, num_label_bytes:].reshape(num_each, channels, height, width)
        # A third of the time of one assignment of all channels.
        for channel in range(channels):
            images[part, ..., channel] = pixels[:, channel]
    return ImageSet(images=images, labels=labels, class_names=class_names)


def _cifar_records(path: Path, num_records: int, record_size: int) -> NDArray[np.uint8]:
    expected = num_records * record_size
    content = _read_whole(path, expected)
    if len(content) != expected:
        raise DataError(
            f"{path} has {_size(content, expected)} bytes; expected {expected} ({num_records} records of"
            f" {record_size}): {_FETCH_AGAIN}"
        )
    return np.frombuffer(content, np.uint8).reshape(num_records, record_size)


def read_idx(images_path: Path, labels_path: Path, *, num_images: int, class_names: tuple[str, ...]) -> ImageSet:
    """The images of a pair of IDX files, plain or compressed with gzip (by the ending .gz).

    The header is big-endian: a magic number, the count, for images rows and columns; then one byte a pixel or a label
    (http://yann.lecun.com/exdb/mnist/, "File formats").

    Args:
        images_path: the file of 28x28 grey images.
        labels_path: the file of their labels.
        num_images: how many there must be.
        class_names: one name per class; a label outside them is an error.

    Returns:
        uint8 images (num_images, 28, 28, 1), C-contiguous, and int32 labels (num_images,).

    Raises:
        DataError: when a file is missing, truncated or damaged, or its magic number, count, size or labels are
            not right.
    """
    images = _idx_array(images_path, IDX_IMAGES_MAGIC, (num_images, 28, 28))
    labels = _idx_array(labels_path, IDX_LABELS_MAGIC, (num_images,))
    return ImageSet(
        images=images[..., None],
        labels=_checked_labels(labels, len(class_names), labels_path),
        class_names=class_names,
    )


def find_idx(folder: Path, stem: str) -> Path | None:
    """The IDX file `stem` in `folder`, unpacked or as .gz; None when there is neither."""
    for path in (folder / stem, folder / f"{stem}.gz"):
        if path.is_file():
            return path
    return None


def _idx_array(path: Path, magic: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    header_size = 4 + 4 * len(shape)
    expected = header_size + int(np.prod(shape))
    content = _read_whole(path, expected)
    header = np.frombuffer(content[:header_size], ">u4") if len(content) >= header_size else np.empty(0, ">u4")
    came_magic = int.from_bytes(content[:4], "big")
    if len(content) >= 4 and came_magic != magic:
        raise DataError(
            f"{path} begins with 0x{came_magic:08x}; expected 0x{magic:08x}, the mark of IDX"
            f" {'images' if len(shape) > 1 else 'labels'}: {_FETCH_AGAIN}"
        )
    came_shape = tuple(int(number) for number in header[1:])
    if came_shape and came_shape != shape:
        raise DataError(f"{path} says it holds {_times(came_shape)}; expected {_times(shape)}: {_FETCH_AGAIN}")
    if len(content) != expected:
        raise DataError(f"{path} has {_size(content, expected)} bytes; expected {expected}: {_FETCH_AGAIN}")
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape).copy()


def _read_whole(path: Path, expected: int) -> bytes:
    """At most one byte more than `expected`, unpacked: enough to see that a file is too long, never a flood."""
    try:
        if path.suffix == ".gz":
            # Reading past the end is what makes gzip check its own length and checksum.
            with gzip.open(path, "rb") as packed:
                return packed.read(expected + 1)
        with path.open("rb") as file:
            return file.read(expected + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is truncated or damaged ({error}): {_FETCH_AGAIN}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}: {_FETCH_AGAIN}") from None


def _checked_labels(labels: NDArray[np.uint8], num_classes: int, path: Path) -> NDArray[np.int32]:
    outside = np.flatnonzero(labels >= num_classes)
    if len(outside):
        first = int(outside[0])
        raise DataError(
            f"{path} gives image {first} the label {labels[first]}; expected 0 to {num_classes - 1}: {_FETCH_AGAIN}"
        )
    return labels.astype(np.int32)


def _size(content: bytes, expected: int) -> str:
    return f"more than {expected}" if len(content) > expected else str(len(content))


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


_FETCH_AGAIN = "copy or fetch it again"
