"""Which images a person's data has, with class, split and group: what every layout is read into before decoding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tinysight.data.scan import LeftOut, natural_key
from tinysight.errors import DataError, InvalidValueError

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
SPLITS = ("train", "validation", "test")
MIN_CLASSES, MAX_CLASSES = 2, 1000
EXPECTED = "expected FOLDER/CLASS/*.png, FOLDER/train/CLASS/*.png, a .csv or .jsonl of path and label, or an .npz"


class Item(NamedTuple):
    """One labelled image that is not decoded yet; a tuple, as there may be millions.

    Attributes:
        name: where it lies, relative to the listing's base.
        label: the name of its class.
        split: "train", "validation", "test", or None when the data brings no splits.
        group: what it shows, for splits that keep images of one object together, or None.
    """

    name: str
    label: str
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A person's data before decoding.

    Attributes:
        root: what was named.
        base: what the items' names are relative to.
        layout: "class folders", "split folders", "CSV", "JSON lines" or "Hugging Face folder".
        kind: how an item is read: "files" or "arrow".
        items: sorted by split (train, validation, test), then as the layout orders them.
        class_order: the classes in the order in which the data numbers them, or None for natural order.
        left_out: what lies there and is not used.
    """

    root: Path
    base: Path
    layout: str
    kind: str = "files"
    items: tuple[Item, ...]
    class_order: tuple[str, ...] | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def has_splits(self) -> bool:
        return bool(self.items) and self.items[0].split is not None


def sorted_classes(labels: Iterable[str], order: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The distinct labels, in the given order or else in natural order."""
    distinct = set(labels)
    if order is not None:
        return tuple(name for name in order if name in distinct)
    return tuple(sorted(distinct, key=natural_key))


def by_split(items: Iterable[Item]) -> tuple[Item, ...]:
    """The items with training first, then validation, then test; the order within a split stays."""
    return tuple(sorted(items, key=lambda item: SPLITS.index(item.split) if item.split else 0))


def check_classes(root: Path, items: Iterable[Item]) -> None:
    """Checks that these items can be trained on.

    Raises:
        DataError: for fewer than two classes or more than a thousand, for splits without training images, and for
            classes that are not in every split; the text names them.
    """
    check_counts(root, Counter((item.split, item.label) for item in items))


def check_counts(root: Path, counts: Mapping[tuple[str | None, str], int]) -> None:
    """`check_classes` for numbers of images by split and class."""
    labels = sorted({label for _, label in counts}, key=natural_key)
    _check_encoding(root, labels)
    if len(labels) < MIN_CLASSES:
        found = f"one class, '{labels[0]}' with {sum(counts.values()):,} images" if labels else "no image"
        raise DataError(f"'{root}' holds {found}; expected at least two classes")
    if len(labels) > MAX_CLASSES:
        raise DataError(f"'{root}' holds {len(labels):,} classes; expected at most {MAX_CLASSES:,}")
    splits = tuple(split for split in SPLITS if any(split == found for found, _ in counts))
    if splits:
        check_splits(root, {split: {label for found, label in counts if found == split} for split in splits})


def _check_encoding(root: Path, labels: Iterable[str]) -> None:
    for label in labels:
        shown = label.encode(errors="backslashreplace").decode()
        # A name that escapes stand in is another one.
        if shown != label:
            raise DataError(f"the class {shown} in '{root}' is not UTF-8: rename it")


def check_splits(root: Path, classes: dict[str, set[str]]) -> None:
    """Raises DataError unless every split has the classes of the training split; classes are matched by name."""
    if "train" not in classes:
        raise DataError(f"'{root}' has {', '.join(classes)} but no training images; expected a split called train")
    problems = [
        f"{split} {verb} {_quoted(names)}"
        for split in classes
        for verb, names in (
            ("lacks", classes["train"] - classes[split]),
            ("alone has", classes[split] - classes["train"]),
        )
        if names
    ]
    if problems:
        raise DataError(
            f"'{root}': the splits have different classes: {'; '.join(problems)}; expected the same class names in"
            " every split"
        )


def with_groups(listing: Listing, pattern: str) -> Listing:
    """Groups the items by what a regular expression finds in their file names.

    Args:
        listing: what to group.
        pattern: searched for in the file's name without its folders; has one group in parentheses, the object.

    Raises:
        InvalidValueError: when it is no regular expression with exactly one group.
        DataError: when it is not found in every name; the text counts and names one.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidValueError(f"group_by '{pattern}' is no regular expression: {error}") from None
    if compiled.groups != 1:
        raise InvalidValueError(
            f"group_by '{pattern}' has {compiled.groups} groups in parentheses; expected one, around the object's name"
        )
    matches = [compiled.search(item.name.rsplit("/", 1)[-1]) for item in listing.items]
    unmatched = [item.name for item, match in zip(listing.items, matches, strict=True) if match is None]
    if unmatched:
        raise DataError(
            f"group_by '{pattern}' is not found in {len(unmatched):,} of {len(matches):,} file names, as in"
            f" '{unmatched[0]}'; expected it in every one"
        )
    grouped = (item._replace(group=match[1] or "") for item, match in zip(listing.items, matches, strict=True) if match)
    return replace(listing, items=tuple(grouped))


def is_pattern(group_by: str) -> bool:
    """Whether `group_by` is a regular expression rather than the name of a column."""
    return "(" in group_by


def _quoted(names: Iterable[str], most: int = 10) -> str:
    ordered = sorted(names, key=natural_key)
    shown = ", ".join(f"'{name}'" for name in ordered[:most])
    return shown if len(ordered) <= most else f"{shown} and {len(ordered) - most:,} more"
