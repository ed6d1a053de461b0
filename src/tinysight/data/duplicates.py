"""Exact and near duplicates between two sets of images, or within one.

A near duplicate is a copy that was brightened, saved as JPEG, overlaid with light noise, moved or cropped by a pixel,
or mirrored: after alignment by shift, scale, brightness and contrast, little of it is left unexplained. Two photographs
of one object and two ones in the same handwriting are none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinysight.data.alignment import CHUNK, Floats, TangentSearch, align, luma
from tinysight.errors import InvalidValueError

# Limits for a pair to count as near duplicates. Measured on 1,500 CIFAR-10 and 1,500 MNIST images, each brightened and
# darkened by 10, with noise of 4 grey levels, moved or cropped by a pixel, or saved as JPEG 75: the correlation stays
# above 0.965 (low where noise or JPEG meets a flat image) and the residual below 4.1 on MNIST and 4.7 on CIFAR-10.
MIN_CORRELATION = 0.95
# The residual in grey levels is what tells handwriting apart: two ones of MNIST correlate up to 0.997 once aligned, as
# they are all contrast, but leave more. An image that has a crowd of look-alikes must match closely; in one that stands
# out, more damage is forgiven. Among 6,000 x 60,000 MNIST digits one pair is closer than the first limit, and none that
# stands out closer than the second; of 301 pairs so found in CIFAR-10, 299 are the same picture to the eye.
MAX_RESIDUAL, MAX_RESIDUAL_STANDING_OUT = 4.5, 10.0
# What an alignment may leave more before its last pass: true pairs left up to 4.3 then.
SLACK = 1.0
# An image stands out when at most this share of the other set, beside the pair's own, passes the coarse bound, as it is
# or mirrored: a handwritten one that leans the rare way has few look-alikes, but its mirror image has thousands.
CROWD = 1 / 6000
# An image that is its own mirror image matches both ways, but for the rounding of float32, which differs from one
# processor to the next: the last digits must not say that it is mirrored.
MIRRORED_HANDICAP = 1e-4

# Coarse, for all pairs in one matrix product; it leaves each image a tenth of a pair (photographs) or a hundred pairs
# (digits). Finer, for those that do not stand out: aligning one pair takes as long as the finer bound of a hundred.
COARSE = TangentSearch(num_points=8, blur=1 / 16, num_shifts=0, threshold=0.975)
FINE = TangentSearch(num_points=14, blur=1 / 21.5, num_shifts=1, threshold=0.992)
# Of a crowd only so many look-alikes of one image, the closest ones, go on: it bounds the time where all images look
# alike. The crowds of MNIST's ones stay below.
MOST_COARSE, MOST_FINE = 10_000, 200

# Columns of one block of the matrix product, so that it stays in the processor's cache.
BLOCK_ROWS, BLOCK_COLUMNS = 64, 2048


@dataclass(frozen=True, order=True)
class Duplicate:
    """A pair of images that are the same, or nearly.

    Attributes:
        index_a: index into the first set.
        index_b: index into the second set (or the same one, then above `index_a`).
        kind: "exact" (every byte is equal) or "near".
        similarity: correlation after alignment; 1 for exact ones.
        mirrored: whether one is the mirror image of the other.
    """

    index_a: int
    index_b: int
    kind: Literal["exact", "near"]
    similarity: float
    mirrored: bool = False


def find_duplicates(
    images_a: NDArray[np.uint8], images_b: NDArray[np.uint8] | None = None, *, mirrored: bool = True
) -> list[Duplicate]:
    """Exact and near duplicates between two sets of images of one size, or within one.

    Images of `images_a` that are exact copies of each other count once, as the first of them. Time grows with the
    number of pairs, memory with the number of images (256 bytes each) beside fixed buffers.

    Args:
        images_a: uint8, shape (n, height, width, 1 or 3); may be a memory map.
        images_b: likewise, shape (m, ...); None to search within `images_a`, then each pair is listed once.
        mirrored: whether mirror images count too; that takes twice as long.

    Returns:
        Pairs in the order of their indices.

    Raises:
        InvalidValueError: when the arrays are no images, or of different sizes.
    """
    other = images_a if images_b is None else images_b
    _check_images(images_a, other)
    distinct = _first_by_digest(images_a)
    exact = _exact(distinct, other, within=images_b is None)
    first = np.array(sorted(distinct.values()), dtype=np.int64)
    second = first if images_b is None else np.arange(len(other))
    seen = {(pair.index_a, pair.index_b) for pair in exact}
    best: dict[tuple[int, int], Duplicate] = {}
    for found in _near(images_a, first, other, second, mirrored, within=images_b is None):
        pair = found.index_a, found.index_b
        if pair not in seen and (pair not in best or _is_closer(found, best[pair])):
            best[pair] = found
    return sorted([*exact, *best.values()])


def _is_closer(found: Duplicate, other: Duplicate) -> bool:
    """Whether the one alignment of a pair beats the other; of two that tie, the one that is not mirrored does."""
    handicap = MIRRORED_HANDICAP * (int(found.mirrored) - int(other.mirrored))
    return found.similarity > other.similarity + handicap


def _check_images(images_a: NDArray[np.uint8], images_b: NDArray[np.uint8]) -> None:
    for images in (images_a, images_b):
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3) or min(images.shape[1:3]) < 8:
            raise InvalidValueError(
                f"images are {images.dtype} of shape {images.shape}; expected uint8 of shape"
                " (n, height, width, 1 or 3), 8 pixels or more a side"
            )
    if images_a.shape[1:] != images_b.shape[1:]:
        raise InvalidValueError(
            f"images are of shapes {images_a.shape[1:]} and {images_b.shape[1:]}; bring them to one size first"
        )


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _first_by_digest(images: NDArray[np.uint8]) -> dict[bytes, int]:
    """The index of the first image of each content."""
    first: dict[bytes, int] = {}
    for index, image in enumerate(images):
        first.setdefault(_digest(image), index)
    return first


def _exact(distinct: dict[bytes, int], images: NDArray[np.uint8], within: bool) -> list[Duplicate]:
    pairs = ((distinct.get(_digest(image)), index) for index, image in enumerate(images))
    return [
        Duplicate(first, index, "exact", 1.0)
        for first, index in pairs
        if first is not None and not (within and first == index)
    ]


def _near(
    images_a: NDArray[np.uint8],
    first: NDArray[np.int64],
    images_b: NDArray[np.uint8],
    second: NDArray[np.int64],
    mirrored: bool,
    *,
    within: bool,
) -> Iterator[Duplicate]:
    """Near duplicates among the images at `first` and `second`; a pair may come more than once."""
    points = _in_chunks(COARSE, images_a, first)
    for start in range(0, len(second), CHUNK):
        chosen = second[start : start + CHUNK]
        sides: list[tuple[bool, Floats, NDArray[np.int64], NDArray[np.int64]]] = []
        for is_mirrored in (False, True) if mirrored else (False,):
            grey = luma(images_b[chosen])
            grey = np.ascontiguousarray(grey[:, :, ::-1]) if is_mirrored else grey
            rows, columns = _candidates(points, grey)
            if within:
                not_itself = first[columns] != chosen[rows]
                rows, columns = rows[not_itself], columns[not_itself]
            sides.append((is_mirrored, grey, rows, columns))
        crowd = np.bincount(np.concatenate([rows for _, _, rows, _ in sides]), minlength=len(chosen))
        stands_out = crowd - 1 <= CROWD * len(points)
        for is_mirrored, grey, rows, columns in sides:
            for row, other, similarity in _matches(images_a, first[columns], grey, rows, stands_out[rows]):
                low, high = (other, int(chosen[row])) if not within else sorted((other, int(chosen[row])))
                yield Duplicate(low, high, "near", similarity, is_mirrored)


def near_among(images: Any, first: NDArray[np.int64], second: NDArray[np.int64]) -> list[Duplicate]:
    """Those of some pairs of images that are near duplicates as they lie, not mirrored.

    Whether an image stands out is not known from some pairs, so all must match as closely as in a crowd.

    Args:
        images: uint8, shape (n, height, width, 1 or 3), 8 pixels or more a side; may be a memory map.
        first, second: int64, shape (m,), positions of the pairs.

    Returns:
        The pairs in the order of their indices.
    """
    order = np.lexsort((first, second))
    found = []
    for start in range(0, len(order), CHUNK):
        some = order[start : start + CHUNK]
        chosen, rows = np.unique(second[some], return_inverse=True)
        grey = luma(images[chosen])
        for row, other, similarity in _matches(images, first[some], grey, rows, np.zeros(len(some), np.bool_)):
            low, high = sorted((other, int(chosen[row])))
            found.append(Duplicate(low, high, "near", similarity))
    return sorted(found)


def _matches(
    images: NDArray[np.uint8],
    others: NDArray[np.int64],
    grey: Floats,
    rows: NDArray[np.int64],
    stands_out: NDArray[np.bool_],
) -> Iterator[tuple[int, int, float]]:
    """Those of the pairs (row of `grey`, index into `images`) that are near duplicates, with their correlation."""
    kept = stands_out | _passes_fine(images, others, grey, rows, ~stands_out)
    limits = np.where(stands_out, MAX_RESIDUAL_STANDING_OUT, MAX_RESIDUAL)[kept]
    rows, others = rows[kept], others[kept]
    for start in range(0, len(rows), CHUNK):
        row, other = rows[start : start + CHUNK], others[start : start + CHUNK]
        limit = limits[start : start + CHUNK]
        found = align(grey[row], luma(images[other]), give_up=limit + SLACK)
        good = (found.correlation >= MIN_CORRELATION) & (found.residual <= limit)
        yield from zip(row[good].tolist(), other[good].tolist(), found.correlation[good].tolist(), strict=True)


def _in_chunks(search: TangentSearch, images: NDArray[np.uint8], indices: NDArray[np.int64]) -> Floats:
    starts = range(0, len(indices), CHUNK)
    empty = np.empty((0, search.num_points**2), dtype=np.float32)
    return np.concatenate([empty, *(search.points(luma(images[indices[start : start + CHUNK]])) for start in starts)])


def _candidates(points: Floats, grey: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (row of `grey`, row of `points`) whose coarse bound on the correlation passes, in order of rows."""
    subspaces = COARSE.subspaces(grey)[:, 0].transpose(1, 0, 2)
    num_vectors, _, num_points = subspaces.shape
    rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for top in range(0, len(grey), BLOCK_ROWS):
        block = np.ascontiguousarray(subspaces[:, top : top + BLOCK_ROWS]).reshape(-1, num_points)
        found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
        for left in range(0, len(points), BLOCK_COLUMNS):
            parts = block @ points[left : left + BLOCK_COLUMNS].T
            np.square(parts, out=parts)
            bound = parts.reshape(num_vectors, -1, parts.shape[1]).sum(axis=0)
            row, column = np.nonzero(bound > COARSE.threshold**2)
            found.append((row, column + left, bound[row, column]))
        row, column, bound = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = _closest(row, bound, MOST_COARSE)
        rows.append(row[kept] + top)
        columns.append(column[kept])
    return np.concatenate(rows), np.concatenate(columns)


def _closest(rows: NDArray[np.int64], bounds: Floats, most: int) -> NDArray[np.int64]:
    """The places of the pairs with the largest bounds, up to `most` of each row, in order of rows."""
    order = np.lexsort((-bounds, rows))
    starts = np.searchsorted(rows[order], rows[order])
    return np.asarray(order[np.arange(len(order)) - starts < most], dtype=np.int64)


def _passes_fine(
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
    grey: Floats,
    rows: NDArray[np.int64],
    wanted: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether the finer bound of the pairs that are wanted passes: one for each pair, False for all others."""
    passes = np.zeros(len(rows), dtype=bool)
    present, starts = np.unique(rows[wanted], return_index=True)
    if len(present):
        subspaces = FINE.subspaces(grey[present])
        needed, where = np.unique(indices[wanted], return_inverse=True)
        points = _in_chunks(FINE, images, needed)
        groups = zip(subspaces, np.split(where, starts[1:]), strict=True)
        bounds = np.concatenate([FINE.reach(subspace, points[group]) for subspace, group in groups])
        places = np.flatnonzero(wanted)
        kept = _closest(rows[places], bounds, MOST_FINE)
        passes[places[kept]] = bounds[kept] > FINE.threshold**2
    return passes
