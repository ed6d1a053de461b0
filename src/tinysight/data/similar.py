"""Copies in a person's images, exact and near, in seconds whatever their number.

What a near duplicate is stands in `tinysight.data.duplicates`. Up to 10,000 images every pair is looked at; beyond that
the pairs that are looked at come from hashes of small grey images, which those of a copy that was moved, cropped or
mirrored seldom share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.duplicates import find_duplicates, near_among

# All pairs of so many images take about 20 seconds of two cores, and of twice as many four times that.
MAX_EXHAUSTIVE = 10_000
# Smaller images are enlarged by repeating their pixels, as alignment needs so many a side.
MIN_SIDE = 8
_SIDE = 16
# Measured on 5,000 images each of MNIST and CIFAR-10, 12.5 million pairs: one pair of different images is above 0.98 in
# CIFAR-10 and 71 in MNIST, none above 0.99; of images saved as JPEG of quality 75, brightened by 15 % or with noise of
# 5 levels, 95 % and more stay above 0.99.
MIN_SIMILARITY = 0.99
# Two images of that similarity fall into one bucket of a table with probability 0.4, so in none of 14 with 0.001.
_NUM_TABLES, _NUM_BITS, _MAX_NEIGHBOURS = 14, 20, 64
# Of the 280 signs 13 +- 3.5 differ at that similarity; counting them costs a tenth of comparing the images.
_MAX_SIGNS = 32
# Aligning a pair takes tenths of a millisecond; where very many are alike, as in a film, the most similar ones are.
_MAX_ALIGNED = 200_000
_CHUNK = 4096


def find_copies(images: Any) -> list[list[int]]:
    """Groups of two or more images with the same pixels.

    Args:
        images: uint8 (n, height, width, channels), in memory or on disk.

    Returns:
        positions, each group sorted, groups in the order of their first.
    """
    groups: dict[bytes, list[int]] = {}
    for start, chunk in _chunks(images):
        for offset, pixels in enumerate(chunk):
            groups.setdefault(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), []).append(start + offset)
    return [group for group in groups.values() if len(group) > 1]


def find_similar(images: Any) -> list[tuple[int, int, float]]:
    """Pairs of images that are exact or near duplicates.

    Args:
        images: uint8 (n, height, width, 1 or 3), in memory or on disk.

    Returns:
        (first, second, similarity) with first < second, most similar first; of several exact copies of one image the
        first alone may stand for all. Similarity is the correlation after alignment.
    """
    large_enough = _Enlarged(images) if min(images.shape[1:3]) < MIN_SIDE else images
    if len(images) <= MAX_EXHAUSTIVE:
        found = find_duplicates(large_enough[:])
    else:
        found = near_among(large_enough, *_hashed_pairs(images))
    pairs = ((pair.index_a, pair.index_b, pair.similarity) for pair in found)
    return sorted(pairs, key=lambda each: (-each[2], each[:2]))


class _Enlarged:
    """Small images with every pixel repeated, made when they are asked for."""

    def __init__(self, images: Any) -> None:
        self.images, self.factor = images, -(-MIN_SIDE // min(images.shape[1:3]))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, places: Any) -> NDArray[np.uint8]:
        return np.asarray(self.images[places]).repeat(self.factor, axis=1).repeat(self.factor, axis=2)


def _hashed_pairs(images: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs whose 16 x 16 grey means correlate well: the first images, the second ones.

    Candidates share a bucket of one of 14 tables of random directions' signs, seeded.
    """
    features = np.concatenate([_features(chunk) for _, chunk in _chunks(images)])
    signs = _signs(features)
    packed = np.packbits(signs, axis=1)
    found: dict[tuple[int, int], float] = {}
    for table in range(_NUM_TABLES):
        codes = signs[:, table * _NUM_BITS : (table + 1) * _NUM_BITS] @ (1 << np.arange(_NUM_BITS, dtype=np.int64))
        for first, second in _candidates(codes):
            near = np.bitwise_count(packed[first] ^ packed[second]).sum(axis=1) <= _MAX_SIGNS
            first, second = first[near], second[near]
            similarity = np.einsum("ij,ij->i", _unit(features[first]), _unit(features[second]))
            for place in np.flatnonzero(similarity >= MIN_SIMILARITY):
                pair = sorted((int(first[place]), int(second[place])))
                found[pair[0], pair[1]] = float(similarity[place])
    best = sorted(found, key=lambda pair: (-found[pair], pair))[:_MAX_ALIGNED]
    pairs = np.array(best, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _chunks(images: Any) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for start in range(0, len(images), _CHUNK):
        yield start, images[start : start + _CHUNK]


def _features(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (n, 256): 256 of float32 would be a gigabyte for a million images."""
    grey = images.mean(axis=3, dtype=np.float32)
    means = _mean_over(_mean_over(grey, 1), 2)
    return np.rint(means).astype(np.uint8).reshape(len(images), -1)


def _mean_over(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """16 means along an axis of any length; where it is shorter, values are repeated."""
    length = values.shape[axis]
    edges = np.arange(_SIDE + 1) * length / _SIDE
    starts = edges[:-1].astype(int)
    stops = np.maximum(np.ceil(edges[1:]).astype(int), starts + 1)
    parts = [values.take(range(a, b), axis).mean(axis=axis) for a, b in zip(starts, stops, strict=True)]
    return np.stack(parts, axis=axis)


def _unit(features: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = features.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    # An image of one colour is similar to none, itself included; its copies are found as copies.
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    return values


def _signs(features: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """On which side of each of 280 random directions an image lies: (n, 280)."""
    rng = np.random.Generator(np.random.PCG64(0))
    directions = rng.standard_normal((features.shape[1], _NUM_TABLES * _NUM_BITS)).astype(np.float32)
    return np.concatenate([_unit(chunk) @ directions > 0 for _, chunk in _chunks(features)])


def _candidates(codes: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs with one code; of a code that very many share, each with the next 64 alone."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    for distance in range(1, min(_MAX_NEIGHBOURS, len(codes) - 1) + 1):
        places = np.flatnonzero(ordered[distance:] == ordered[:-distance])
        if not len(places):
            return
        for start in range(0, len(places), _CHUNK):
            some = places[start : start + _CHUNK]
            yield order[some], order[some + distance]
