"""Every image of a listing, decoded: in memory when they are few, else in the cache on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.listing import SPLITS, Item, Listing, sorted_classes
from tinysight.data.picture_pool import decode_all
from tinysight.data.progress import Progress
from tinysight.data.scan import LeftOut
from tinysight.data.splits import Indices
from tinysight.errors import DataError
from tinysight.images import ImageSet
from tinysight.pixels import ImageShape


@dataclass(frozen=True, kw_only=True, eq=False)
class Readable:
    """What is known of the images that can be read, apart from their pixels.

    Attributes:
        labels: int32 (n,), indices into `class_names`.
        class_names: in label order.
        splits: positions of "train", "validation" and "test" as far as the data brings them; "train" for all otherwise.
        groups: what each image shows, text (n,), or None.
        unreadable: the files that could not be read, with their reasons.
    """

    labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    splits: dict[str, Indices]
    groups: NDArray[np.str_] | None
    unreadable: tuple[LeftOut, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedListing:
    """All images that can be read, in the order of the listing; the rest as in `Readable`."""

    images: ImageSet
    splits: dict[str, Indices]
    groups: NDArray[Any] | None
    unreadable: tuple[LeftOut, ...]


def decode_in_memory(listing: Listing, image_shape: ImageShape) -> DecodedListing:
    """Decodes all images into one array.

    Raises:
        DataError: when none can be read.
    """
    names = [item.name for item in listing.items]
    pixels = np.empty((len(names), *image_shape), np.uint8)
    num_read, failed = 0, dict[int, str]()
    with Progress("decoding", len(names)) as progress:
        for part in decode_all(listing.kind, listing.base, names, image_shape):
            pixels[num_read : num_read + len(part.images)] = part.images
            num_read += len(part.images)
            failed.update(part.failed)
            progress.advance_to(part.stop)
    check_readable(listing, failed)
    readable = describe_readable(listing, failed)
    return DecodedListing(
        images=ImageSet(
            images=pixels[:num_read],
            labels=readable.labels,
            class_names=readable.class_names,
            sources=tuple(item.name for position, item in enumerate(listing.items) if position not in failed),
        ),
        splits=readable.splits,
        groups=readable.groups,
        unreadable=readable.unreadable,
    )


def describe_readable(listing: Listing, failed: dict[int, str]) -> Readable:
    """Labels, splits and groups of the images that can be read; `failed` gives position and reason of the others."""
    items = [item for position, item in enumerate(listing.items) if position not in failed] if failed else listing.items
    class_names = sorted_classes((item.label for item in items), listing.class_order)
    return Readable(
        labels=_label_numbers(items, class_names),
        class_names=class_names,
        splits=_split_indices(items),
        groups=None if items[0].group is None else np.array([item.group for item in items]),
        unreadable=tuple(
            LeftOut(listing.items[position].name, "unreadable", reason) for position, reason in sorted(failed.items())
        ),
    )


def check_readable(listing: Listing, failed: dict[int, str]) -> None:
    """Raises DataError when no image at all can be read."""
    if len(failed) == len(listing.items):
        position, reason = min(failed.items())
        raise DataError(
            f"'{listing.root}': none of its {len(failed):,} images can be read; the first,"
            f" {listing.items[position].name}, {reason}"
        )


def _label_numbers(items: Sequence[Item], class_names: tuple[str, ...]) -> NDArray[np.int32]:
    number = {name: position for position, name in enumerate(class_names)}
    return np.fromiter((number[item.label] for item in items), np.int32, len(items))


def _split_indices(items: Sequence[Item]) -> dict[str, Indices]:
    """Positions of each split that occurs; without splits all of them are "train"."""
    numbers = np.fromiter((SPLITS.index(item.split or "train") for item in items), np.int8, len(items))
    found = {split: np.flatnonzero(numbers == number) for number, split in enumerate(SPLITS)}
    return {split: indices for split, indices in found.items() if len(indices)}
