"""Bytes on disk to images in memory: the CIFAR binary files and the IDX files of MNIST.

Every reader knows how much it expects and checks it before it believes a file. No pickle is ever loaded.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.cores import num_cores
from tinysight.errors import DataError
from tinysight.images import ImageSet

CIFAR_SHAPE = (32, 32, 3)
# Records of CIFAR that a thread reads in all and at once.
_RECORDS_PER_TASK, _RECORDS_AT_ONCE = 5000, 500
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
    num_each = num_images // len(paths)
    record_size = num_label_bytes + math.prod(CIFAR_SHAPE)
    images = np.empty((num_images, *CIFAR_SHAPE), np.uint8)
    labels = np.empty(num_images, np.uint8)
    for path in paths:
        _check_size(path, num_each, record_size)

    def read(task: tuple[int, int]) -> None:
        number, start = task
        end = min(start + _RECORDS_PER_TASK, num_each)
        part = slice(number * num_each + start, number * num_each + end)
        _read_records(paths[number], start, num_label_bytes, label_byte, images[part], labels[part])

    tasks = [(number, start) for number in range(len(paths)) for start in range(0, num_each, _RECORDS_PER_TASK)]
    with ThreadPoolExecutor(num_cores()) as pool:
        # In this order an error is the first of the first file.
        for _ in pool.map(read, tasks):
            pass
    parts = [slice(number * num_each, (number + 1) * num_each) for number in range(len(paths))]
    checked = [_checked_labels(labels[part], len(class_names), path) for part, path in zip(parts, paths, strict=True)]
    return ImageSet(images=images, labels=np.concatenate(checked), class_names=class_names)


def _check_size(path: Path, num_records: int, record_size: int) -> None:
    expected = num_records * record_size
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from None
    if size != expected:
        raise DataError(
            f"{path} has {size} bytes; expected {expected} ({num_records} records of {record_size}): {_FETCH_AGAIN}"
        )


def _read_records(
    path: Path,
    start: int,
    num_label_bytes: int,
    label_byte: int,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    """Fills `images` and `labels` with the records of a file from `start` on.

    A few at a time, which stay in the processor's cache while their colours are put together: reading a whole file
    first takes two to six times as long, most of it for new memory.
    """
    height, width, channels = CIFAR_SHAPE
    records = np.empty((_RECORDS_AT_ONCE, num_label_bytes + height * width * channels), np.uint8)
    try:
        with path.open("rb") as file:
            file.seek(start * records.shape[1])
            for first in range(0, len(images), _RECORDS_AT_ONCE):
                came = records[: len(images) - first]
                if file.readinto(came.data) != came.nbytes:
                    raise DataError(f"{path} became shorter while it was read: {_FETCH_AGAIN}")
                part = slice(first, first + len(came))
                labels[part] = came[:, label_byte]
                pixels = came[:, num_label_bytes:].reshape(len(came), channels, height * width)
                # A third of the time of one assignment of all channels.
                placed = images[part].reshape(len(came), height * width, channels)
                for channel in range(channels):
                    placed[:, :, channel] = pixels[:, channel]
    except OSError as error:
        raise _unreadable(path, error) from None


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
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read {path}: {error.strerror}: {_FETCH_AGAIN}")


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
