"""A person's own images as a data set: what was read, what was left out, how it was split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data.grouped_split import grouped_split
from tinysight.data.scan import LeftOut
from tinysight.data.splits import Indices, stratified_split
from tinysight.data.unchanged import split_digests
from tinysight.errors import DataError
from tinysight.images import DataSet, ImageSet
from tinysight.stored import StoredImages, StoredNames


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnData(DataSet):
    """A data set that was read from a person's files.

    Attributes:
        settings: the arguments of `load_data` that give this data set again, with the proposed ones filled in; JSON.
        layout: how it lies there, as in "class folders".
        left_out: the files that are not in it, each with its reason.
        lost_classes: classes that lie there, of which no image can be read.
        indices: for each split, int64 positions among all images that can be read, in the order of the listing.
        test_source: "own" when the data brings a test split, "cut" when one was cut.
        train_groups: for each training image the number of its object, int64, or None without groups.
    """

    settings: Mapping[str, Any]
    layout: str
    left_out: tuple[LeftOut, ...]
    indices: Mapping[str, Indices]
    test_source: str
    train_groups: NDArray[np.int64] | None = None
    lost_classes: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """What a run stores of it beside the images' counts: JSON."""
        return {
            "settings": dict(self.settings),
            "layout": self.layout,
            "test_source": self.test_source,
            "num_left_out": len(self.left_out),
            "unreadable": [
                {"path": item.name, "reason": item.reason} for item in self.left_out if item.kind == "unreadable"
            ],
            "digests": split_digests(self),
        }


def make_own_data(
    everything: ImageSet,
    splits: Mapping[str, Indices],
    groups: NDArray[Any] | None,
    *,
    settings: Mapping[str, Any],
    layout: str,
    left_out: tuple[LeftOut, ...],
    origin: str,
    lost_classes: tuple[str, ...] = (),
) -> OwnData:
    """Cuts a test split where the data brings none.

    Args:
        everything: all images that can be read.
        splits: positions of "train" and, when the data brings them, "validation" and "test".
        groups: what each image shows, shape (n,), or None.
        settings: the arguments of `load_data`.
        layout, left_out, origin, lost_classes: as in `OwnData`.

    Raises:
        DataError: when a class has too few images to be on both sides, or the data's own splits divide a group.
    """
    indices = dict(splits)
    numbers = None if groups is None else np.unique(groups, return_inverse=True)[1].astype(np.int64)
    test_source = "own" if "test" in indices else "cut"
    if groups is not None:
        _check_groups_whole(groups, indices)
    if "test" not in indices:
        indices["train"], indices["test"] = _cut_test(everything, indices["train"], numbers, settings)
    return OwnData(
        name=str(settings["name_or_path"]),
        train=take(everything, indices["train"]),
        test=take(everything, indices["test"]),
        validation=take(everything, indices["validation"]) if "validation" in indices else None,
        origin=origin,
        settings=settings,
        layout=layout,
        left_out=left_out,
        indices=indices,
        test_source=test_source,
        train_groups=None if numbers is None else numbers[indices["train"]],
        lost_classes=lost_classes,
    )


def _cut_test(
    everything: ImageSet, train: Indices, groups: NDArray[np.int64] | None, settings: Mapping[str, Any]
) -> tuple[Indices, Indices]:
    labels = everything.labels[train]
    counts = np.bincount(labels, minlength=everything.num_classes)
    few = [f"'{everything.class_names[label]}'" for label in np.flatnonzero(counts == 1)]
    if few:
        raise DataError(
            f"'{settings['name_or_path']}': the class {', '.join(few[:10])} has a single image; expected at least two,"
            " one to train on and one to test on: add images or leave the class out"
        )
    fraction, seed = settings["test_fraction"], settings["seed"]
    if groups is not None:
        kept, held_out = grouped_split(labels, groups[train], fraction, seed, everything.class_names)
    else:
        # Small classes take more than their share, so that each has an image on both sides.
        num_wanted = int(fraction * len(train) + 0.5)
        num_classes = everything.num_classes
        kept, held_out = stratified_split(labels, min(max(num_wanted, num_classes), len(train) - num_classes), seed)
    return train[kept], train[held_out]


def _check_groups_whole(groups: NDArray[Any], splits: Mapping[str, Indices]) -> None:
    names = list(splits)
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            shared = np.intersect1d(groups[splits[first]], groups[splits[second]])
            if len(shared):
                raise DataError(
                    f"groups in both {first} and {second}: {len(shared):,}, as '{shared[0]}'; expected each object"
                    " in one split: move its images, or leave --group-by out"
                )


def take(images: ImageSet, indices: Indices) -> ImageSet:
    """The images at `indices`; those on disk stay there."""
    if not isinstance(images.images, StoredImages):
        return images.take(_rows(indices))
    sources: Any = images.sources.select(indices) if isinstance(images.sources, StoredNames) else ()
    return replace(images, images=images.images.select(indices), labels=images.labels[indices], sources=sources)


def _rows(indices: Indices) -> Indices | slice:
    """A slice where the indices are one run of numbers: it needs no copy of the images."""
    if len(indices) and int(indices[-1]) - int(indices[0]) == len(indices) - 1 and (np.diff(indices) == 1).all():
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices
