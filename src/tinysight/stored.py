"""Images that stay on disk: rows of a memory map that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class StoredImages:
    """Some rows of a memory-mapped array of images, in any order, without a copy of their pixels.

    It has what an array is used for here: `shape`, `dtype`, `ndim`, `len`, and indexing by rows, which reads them.

    Args:
        pixels: uint8, (m, height, width, channels), a memory map.
        rows: int64 (n,), which of its rows these images are; None for all, in order.
    """

    def __init__(self, pixels: NDArray[np.uint8], rows: NDArray[np.int64] | None = None) -> None:
        self.pixels = pixels
        self.rows = np.arange(len(pixels), dtype=np.int64) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.pixels.shape[1:])

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        return self.pixels.dtype

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
        return np.array(self.pixels[self.rows[index]])

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (np.array(self.pixels[row]) for row in self.rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All pixels, in memory: for the small parts (a test split) that are used at once."""
        if copy is False:
            raise ValueError("images on disk cannot become an array without a copy")
        return np.asarray(self[:], dtype)

    def select(self, indices: Any) -> StoredImages:
        """The images at `indices` (anything numpy indexes with), still on disk."""
        return StoredImages(self.pixels, self.rows[indices])


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
