"""Images that stay on disk: rows of a memory map that are read when they are asked for."""

from __future__ import annotations

import mmap
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import DataError


class StoredImages:
    """Some rows of a memory-mapped array of images, in any order, without a copy of their pixels.

    It has what an array is used for here: `shape`, `dtype`, `ndim`, `len`, and indexing by rows, which reads them.

    Args:
        pixels: uint8, (m, height, width, channels), a memory map.
        rows: int64 (n,), which of its rows these images are; None for all, in order.
        announce: told of the rows that are about to be read, as `open_rows` makes it; None where that gains nothing.
        path: the file that is mapped, by which another process opens it; None where there is none to tell.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64] | None = None,
        announce: Callable[[NDArray[np.int64]], None] | None = None,
        path: Path | None = None,
    ) -> None:
        # As a plain array: a memory map's own indexing makes a map of every result, which costs as much again.
        self.pixels = pixels.view(np.ndarray)
        self.rows = np.arange(len(pixels), dtype=np.int64) if rows is None else rows
        self._announce = announce
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes where the pixels lie, not what they are."""
        if self.path is None:
            raise TypeError("images that are mapped from no known file cannot go to another process")
        return _open_again, (self.path.resolve(), self.pixels.shape, self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.pixels.shape[1:])

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        return self.pixels.ndim

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        """Pixels in memory; a tuple indexes rows first, then height, width and channels."""
        if isinstance(index, tuple):
            pixels: NDArray[np.uint8] = self[index[0]][(slice(None), *index[1:])]
            return pixels
        rows = self.rows[index]
        if self._announce is not None and rows.ndim:
            self._announce(rows)
        pixels = self.pixels[rows]
        # One row is a view of the disk, many are a copy already.
        return np.array(pixels) if pixels.ndim < self.ndim else pixels

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (np.array(self.pixels[row]) for row in self.rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All pixels, in memory: for the small parts (a test split) that are used at once."""
        if copy is False:
            raise ValueError("images on disk cannot become an array without a copy")
        return np.asarray(self[:], dtype)

    def select(self, indices: Any) -> StoredImages:
        """The images at `indices` (anything numpy indexes with), still on disk."""
        return StoredImages(self.pixels, self.rows[indices], self._announce, self.path)


def open_rows(path: Path, shape: tuple[int, ...]) -> StoredImages:
    """The images in a file of uint8 pixels.

    Rows of a file that does not fit in memory are announced to the system before they are read, so that the disk works
    on many at once. Measured with 1,000,000 images of 32x32x3 in random order on a virtual disk: 30,000 a second rather
    than 9,000 when none is in the page cache; when all are, reading alone gives 520,000.

    Args:
        path: the file.
        shape: (n, height, width, channels).
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    pixels = np.frombuffer(mapped, np.uint8).reshape(shape)
    if len(mapped) < _memory_bytes() // 2 or not hasattr(mmap, "MADV_WILLNEED"):
        return StoredImages(pixels, path=path)
    # Reading ahead would fetch neighbours, which a random order does not want.
    mapped.madvise(mmap.MADV_RANDOM)
    length = len(mapped) // shape[0]

    def announce(rows: NDArray[np.int64]) -> None:
        for row in rows.tolist():
            start = row * length // mmap.PAGESIZE * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_WILLNEED, start, (row + 1) * length - start)

    return StoredImages(pixels, announce=announce, path=path)


def _open_again(path: Path, shape: tuple[int, ...], rows: NDArray[np.int64]) -> StoredImages:
    """The images that another process sent, from the file that both see.

    Raises:
        DataError: when this machine does not see it.
    """
    if not path.is_file():
        raise DataError(f"no images at {path} on {platform.node()}: expected a folder that every machine sees")
    opened = open_rows(path, shape)
    return StoredImages(opened.pixels, rows, opened._announce, path)


def _memory_bytes() -> int:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return 1 << 62
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class StoredNames(Sequence[str]):
    """Many texts that stay on disk: UTF-8 bytes in a row and where each ends.

    Args:
        text: uint8, a memory map of all the bytes.
        ends: int64 (m,), where each text ends in it.
        rows: int64 (n,), which of the texts these are; None for all, in order.
    """

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64], rows: NDArray[np.int64] | None = None) -> None:
        self._text, self._ends = text, ends
        self._rows = np.arange(len(ends), dtype=np.int64) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self._at(row) for row in self._rows[index])
        return self._at(self._rows[index])

    def select(self, indices: Any) -> StoredNames:
        """The texts at `indices` (anything numpy indexes with), still on disk."""
        return StoredNames(self._text, self._ends, self._rows[indices])

    def _at(self, row: int) -> str:
        start = self._ends[row - 1] if row else 0
        # File names that are no UTF-8 come from the system with surrogates in them.
        return bytes(self._text[start : self._ends[row]]).decode("utf-8", "surrogateescape")
