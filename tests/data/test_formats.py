from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from public_layouts import cifar_file, idx_images, idx_labels

from tinysight.data import formats
from tinysight.data.formats import find_idx, read_cifar, read_idx
from tinysight.errors import DataError

NAMES = tuple("abcdefghij")


def read_one_cifar(path: Path, num_images: int = 20) -> object:
    return read_cifar([path], num_images=num_images, class_names=NAMES)


def test_cifar_pixels_come_out_row_by_row_with_colours_last(tmp_path: Path) -> None:
    planes = np.arange(3072, dtype=np.int64) % 251
    path = tmp_path / "one.bin"
    path.write_bytes(bytes([7]) + planes.astype(np.uint8).tobytes())
    images = read_cifar([path], num_images=1, class_names=NAMES)
    assert images.labels.tolist() == [7]
    assert images.labels.dtype == np.int32
    assert images.images.flags.c_contiguous
    for row, column, channel in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (31, 31, 2), (5, 9, 1)):
        assert images.images[0, row, column, channel] == (channel * 1024 + row * 32 + column) % 251


def test_cifar_files_are_joined_in_order(tmp_path: Path) -> None:
    paths = [tmp_path / "a.bin", tmp_path / "b.bin"]
    for seed, path in enumerate(paths):
        path.write_bytes(cifar_file(10, seed))
    both = read_cifar(paths, num_images=20, class_names=NAMES)
    alone = read_cifar(paths[1:], num_images=10, class_names=NAMES)
    assert np.array_equal(both.images[10:], alone.images)
    assert both.counts().tolist() == [2] * 10


@pytest.mark.parametrize(("each", "at_once"), [(7, 3), (4, 4), (3, 50), (100, 6)])
def test_cifar_files_are_read_in_pieces(
    each: int, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "a.bin", tmp_path / "b.bin"]
    for seed, path in enumerate(paths):
        path.write_bytes(cifar_file(17, seed, num_label_bytes=2))
    records = np.vstack([np.frombuffer(path.read_bytes(), np.uint8).reshape(17, 3074) for path in paths])
    monkeypatch.setattr(formats, "_RECORDS_PER_TASK", each)
    monkeypatch.setattr(formats, "_RECORDS_AT_ONCE", at_once)
    read = read_cifar(paths, num_images=34, class_names=NAMES, num_label_bytes=2, label_byte=1)
    np.testing.assert_array_equal(read.labels, records[:, 1])
    np.testing.assert_array_equal(read.images, records[:, 2:].reshape(34, 3, 32, 32).transpose(0, 2, 3, 1))


def test_cifar_file_that_is_cut_off_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(cifar_file(20)[:-1])
    monkeypatch.setattr(formats, "_check_size", lambda *_: None)
    with pytest.raises(DataError, match=r"data_batch_1\.bin became shorter while it was read"):
        read_one_cifar(path)


def test_cifar100_reads_either_label(tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    path.write_bytes(bytes([3, 8]) + bytes(3072))
    labels = [
        read_cifar([path], num_images=1, class_names=NAMES, num_label_bytes=2, label_byte=byte).labels.tolist()
        for byte in (0, 1)
    ]
    assert labels == [[3], [8]]


@pytest.mark.parametrize("num_bytes", [0, 1, 20 * 3073 - 1, 20 * 3073 + 1])
def test_cifar_file_of_another_size_is_named(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(bytes(num_bytes))
    with pytest.raises(DataError, match=r"data_batch_1\.bin has .* bytes; expected 61460"):
        read_one_cifar(path)


def test_cifar_label_outside_the_classes_is_named(tmp_path: Path) -> None:
    content = bytearray(cifar_file(20))
    content[3073 * 4] = 10
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.bin gives image 4 the label 10; expected 0 to 9"):
        read_one_cifar(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*gone\.bin: No such file"):
        read_one_cifar(tmp_path / "gone.bin")


def write_idx(folder: Path, images: bytes, labels: bytes, ending: str = "") -> tuple[Path, Path]:
    paths = folder / f"images{ending}", folder / f"labels{ending}"
    for path, content in zip(paths, (images, labels), strict=True):
        path.write_bytes(gzip.compress(content) if ending == ".gz" else content)
    return paths


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_plain_and_compressed(tmp_path: Path, ending: str) -> None:
    images = read_idx(*write_idx(tmp_path, idx_images(30), idx_labels(30), ending), num_images=30, class_names=NAMES)
    expected = np.frombuffer(idx_images(30)[16:], np.uint8).reshape(30, 28, 28, 1)
    assert np.array_equal(images.images, expected)
    assert images.images.flags.c_contiguous
    assert images.images.flags.writeable
    assert images.labels.dtype == np.int32
    assert images.labels.tolist() == [number % 10 for number in range(30)]


BROKEN_IDX = {
    "labels for images": (idx_labels(30), idx_labels(30), "begins with 0x00000801; expected 0x00000803"),
    "images for labels": (idx_images(30), idx_images(30), "begins with 0x00000803; expected 0x00000801"),
    "another count": (idx_images(29), idx_labels(30), "says it holds 29x28x28; expected 30x28x28"),
    "fewer labels": (idx_images(30), idx_labels(29), "says it holds 29; expected 30"),
    "too short": (idx_images(30)[:-1], idx_labels(30), "has 23535 bytes; expected 23536"),
    "too long": (idx_images(30) + b"x", idx_labels(30), "has more than 23536 bytes; expected 23536"),
    "empty": (b"", idx_labels(30), "has 0 bytes; expected 23536"),
    "label outside": (idx_images(30), idx_labels(30)[:-1] + b"\x0a", "gives image 29 the label 10; expected 0 to 9"),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("case", BROKEN_IDX)
def test_broken_idx_is_named(tmp_path: Path, case: str, ending: str) -> None:
    images, labels, message = BROKEN_IDX[case]
    with pytest.raises(DataError, match=message):
        read_idx(*write_idx(tmp_path, images, labels, ending), num_images=30, class_names=NAMES)


def damaged(packed: bytes, kind: str) -> bytes:
    if kind == "cut in the middle":
        return packed[: len(packed) // 2]
    if kind == "cut in the trailer":
        return packed[:-3]
    if kind == "no gzip at all":
        return b"<html>not found</html>"
    flipped = bytearray(packed)
    flipped[-6] ^= 1  # in the checksum, which comes after everything
    return bytes(flipped)


@pytest.mark.parametrize("kind", ["cut in the middle", "cut in the trailer", "no gzip at all", "flipped"])
def test_damaged_gzip_is_named(tmp_path: Path, kind: str) -> None:
    images, labels = write_idx(tmp_path, idx_images(30), idx_labels(30), ".gz")
    images.write_bytes(damaged(images.read_bytes(), kind))
    with pytest.raises(DataError, match=r"images\.gz is truncated or damaged"):
        read_idx(images, labels, num_images=30, class_names=NAMES)


def test_find_idx_takes_the_unpacked_file_first(tmp_path: Path) -> None:
    assert find_idx(tmp_path, "labels") is None
    (tmp_path / "labels.gz").touch()
    assert find_idx(tmp_path, "labels") == tmp_path / "labels.gz"
    (tmp_path / "labels").touch()
    assert find_idx(tmp_path, "labels") == tmp_path / "labels"
