"""Small data sets in the layouts of the public ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinysight.data.download import RemoteFile
from tinysight.data.entries import CATALOG, Entry


def cifar_file(num_images: int, seed: int = 0, num_label_bytes: int = 1) -> bytes:
    """CIFAR records whose labels count up: 0, 1, ... 9, 0, ..."""
    pixels = np.random.default_rng(seed).integers(0, 256, (num_images, 3072), np.uint8)
    labels = np.repeat((np.arange(num_images) % 10).astype(np.uint8)[:, None], num_label_bytes, axis=1)
    return np.hstack([labels, pixels]).tobytes()


def idx_images(num_images: int, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (num_images, 28, 28), np.uint8)
    return np.array([0x803, num_images, 28, 28], ">u4").tobytes() + pixels.tobytes()


def idx_labels(num_images: int) -> bytes:
    return np.array([0x801, num_images], ">u4").tobytes() + (np.arange(num_images) % 10).astype(np.uint8).tobytes()


def tar_gz(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def small_cifar(num_each: int = 10) -> dict[str, bytes]:
    """The files of cifar-10-batches-bin with `num_each` images in each, for an entry of 5 * num_each and num_each."""
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    return {name: cifar_file(num_each, seed) for seed, name in enumerate(names)}


def small_idx(num_train: int = 50, num_test: int = 10) -> dict[str, bytes]:
    return {
        "train-images-idx3-ubyte.gz": gzip.compress(idx_images(num_train)),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx_labels(num_train)),
        "t10k-images-idx3-ubyte.gz": gzip.compress(idx_images(num_test, 1)),
        "t10k-labels-idx1-ubyte.gz": gzip.compress(idx_labels(num_test)),
    }


def remote(name: str, content: bytes, *urls: str) -> RemoteFile:
    md5, sha256 = (hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha256"))
    return RemoteFile(name=name, urls=urls, size=len(content), md5=md5, sha256=sha256)


def cifar_entry(*files: RemoteFile, num_each: int = 10) -> Entry:
    return replace(CATALOG["cifar10"], num_train=5 * num_each, num_test=num_each, files=files)


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
