"""The input size and colours that are proposed for a person's images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinysight.data.picture_pool import facts_of_all
from tinysight.data.pictures import Facts, is_grey, reader
from tinysight.errors import InvalidValueError
from tinysight.pixels import ImageShape

MIN_SIDE, MAX_SIDE = 8, 256
# Nets for small images gain little above this and cost four times as much with each doubling; set it for more.
MAX_PROPOSED_SIDE = 64
MAX_SAMPLE = 10_000


def propose_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The size that images of these sizes are brought to when none is set.

    Args:
        sizes: (height, width) of images, at least one.

    Returns:
        (height, width): the common size when all have one and it is within 8 to 64 pixels; else the median height and
        median width, made smaller together until the longer is 64, rounded to multiples of 4, at least 8.
    """
    distinct = set(sizes)
    height, width = np.median(np.asarray(sizes, np.float64), axis=0)
    if len(distinct) == 1 and min(height, width) >= MIN_SIDE and max(height, width) <= MAX_PROPOSED_SIDE:
        return int(height), int(width)
    factor = min(1.0, MAX_PROPOSED_SIDE / max(height, width))
    return _rounded(height * factor), _rounded(width * factor)


def propose_shape(
    kind: str, base: Path, names: Sequence[str], size: tuple[int, int] | None, channels: int | None
) -> ImageShape | None:
    """(height, width, channels) for these images, or None when none of those looked at can be read.

    Up to 10,000 images are looked at, evenly spread over all. Grey is proposed when all of them are.

    Args:
        kind, base, names: of a listing.
        size: (height, width) when it is set.
        channels: 1 or 3 when it is set.

    Raises:
        InvalidValueError: when what is set is out of range.
    """
    check_shape(size, channels)
    if size is not None and channels is not None:
        return (*size, channels)
    sample = [names[position] for position in np.linspace(0, len(names) - 1, min(len(names), MAX_SAMPLE)).astype(int)]
    found = {
        name: facts
        for name, facts in zip(sample, facts_of_all(kind, base, sample), strict=True)
        if isinstance(facts, Facts)
    }
    if not found:
        return None
    if size is None:
        size = propose_size([(facts.height, facts.width) for facts in found.values()])
    if channels is None:
        read = reader(kind, base)
        channels = 1 if all(is_grey(read, name, facts) for name, facts in found.items()) else 3
    return (*size, channels)


def check_shape(size: tuple[int, int] | None, channels: int | None) -> None:
    """Raises InvalidValueError for an input size or number of channels that is out of range."""
    if size is not None and (len(size) != 2 or not all(MIN_SIDE <= side <= MAX_SIDE for side in size)):
        raise InvalidValueError(
            f"image size is {'x'.join(map(str, size))}; expected height and width of {MIN_SIDE} to {MAX_SIDE} pixels"
        )
    if channels not in (None, 1, 3):
        raise InvalidValueError(f"channels is {channels}; expected 1 (grey) or 3 (colour)")


def _rounded(side: float) -> int:
    return max(MIN_SIDE, 4 * int(side / 4 + 0.5))
