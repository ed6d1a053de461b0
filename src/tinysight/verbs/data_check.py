"""Looking at a person's images before anything trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinysight.data import check
from tinysight.data.check import Finding, Subject
from tinysight.data.picture_pool import facts_of_all
from tinysight.data.pictures import Facts
from tinysight.data.proposal import propose_shape
from tinysight.data.similar import find_copies, find_similar
from tinysight.data.source import decode, decode_archive, list_images
from tinysight.errors import DataError, InvalidValueError
from tinysight.files import write_text
from tinysight.images import ImageSet
from tinysight.png import png_uri

# What marks a page as ours to overwrite.
_MARK = '<meta name="generator" content="tinysight data check">'
_MAX_ENTRIES, _MAX_CLASSES, _IMAGES_A_CLASS = 30, 100, 6


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check found: `record` as JSON has it, the findings with their images, and the images."""

    record: dict[str, Any]
    findings: list[Finding]
    images: ImageSet


def check_data(path: str | Path, *, group_by: str | None = None) -> Checked:
    """Counts classes, sizes and modes of a person's images and lists what is wrong with them; changes nothing.

    Args:
        path: as `tinysight.data.source.load_data`.
        group_by: as there; objects that are in several splits are found.

    Returns:
        Counts and findings, with the images that they are about.

    Raises:
        DataError: when it cannot be read as data at all: no image, one class, nothing but broken files.
        InvalidValueError: when `group_by` is wrong.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DataError(f"no data at '{path}': there is no such folder or file")
    root = path.resolve()
    subject, layout = _archive(root, group_by) if root.suffix.lower() == ".npz" else _listing(root, group_by)
    _check_two_classes(root, subject.images)
    findings = check.find_all(subject, find_copies(subject.images.images), find_similar(subject.images.images))
    height, width, channels = subject.images.image_shape
    record = {
        "data": str(root),
        "layout": layout,
        "num_images": len(subject.images),
        "num_unreadable": sum(item.kind == "unreadable" for item in subject.left_out),
        "image_size": [height, width],
        "channels": channels,
        "splits": {split: len(indices) for split, indices in subject.splits.items()} if len(subject.splits) > 1 else {},
        "classes": check.class_records(subject),
        **check.file_records(subject),
        "num_problems": sum(finding.severity == check.PROBLEM for finding in findings),
        "num_warnings": sum(finding.severity == check.WARNING for finding in findings),
        "findings": [check.finding_record(finding) for finding in findings],
    }
    return Checked(record, findings, subject.images)


def write_page(checked: Checked, path: str | Path) -> Path:
    """Writes what was found as one HTML page with the pictures in it.

    Args:
        checked: what `check_data` returned.
        path: the file; only an earlier page of this kind is overwritten.

    Raises:
        InvalidValueError: when another file is in the way.
        DataError: when it cannot be written.
    """
    import jinja2

    path = Path(path)
    _check_free(path)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinysight.report", "pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("data_check.html").render(
        record=checked.record,
        classes=_galleries(checked),
        findings=[_with_pictures(finding, checked.images) for finding in checked.findings],
        max_entries=_MAX_ENTRIES,
    )
    try:
        return write_text(path, page)
    except OSError as error:
        raise DataError(f"cannot write the page {path}: {error.strerror}; name another file with --html") from None


def _listing(root: Path, group_by: str | None) -> tuple[Subject, str]:
    listing = list_images(root, group_by)
    names = [item.name for item in listing.items]
    shape = propose_shape(listing.kind, listing.base, names, None, None) or (32, 32, 3)
    decoded = decode(listing, shape)
    facts = dict(zip(names, facts_of_all(listing.kind, listing.base, names), strict=True))
    subject = Subject(
        images=decoded.images,
        splits=decoded.splits,
        groups=None if decoded.groups is None else [str(group) for group in decoded.groups],
        facts=[_needed(facts[name]) for name in decoded.images.sources],
        left_out=listing.left_out + decoded.unreadable,
    )
    return subject, listing.layout


def _needed(facts: Facts | str) -> Facts:
    if isinstance(facts, str):
        raise DataError(
            f"a file that could be read just now no longer can ({facts}); is something changing the folder?"
        )
    return facts


def _archive(root: Path, group_by: str | None) -> tuple[Subject, str]:
    decoded = decode_archive(root, group_by)
    groups = None if decoded.groups is None else [str(group) for group in decoded.groups]
    subject = Subject(images=decoded.images, splits=decoded.splits, groups=groups, facts=None, left_out=())
    return subject, "NumPy archive"


def _check_two_classes(root: Path, images: ImageSet) -> None:
    present = np.flatnonzero(images.counts())
    if len(present) < 2:
        raise DataError(
            f"'{root}' holds one class that can be read, '{images.class_names[present[0]]}' with {len(images):,}"
            " images; expected at least two"
        )


def _check_free(path: Path) -> None:
    if path.is_dir() or (path.exists() and _MARK.encode() not in path.read_bytes()[:4096]):
        raise InvalidValueError(f"'{path}' exists and is no page of ours: name another file with --html")


def _galleries(checked: Checked) -> list[dict[str, Any]]:
    images = checked.images
    galleries = []
    for label, record in enumerate(checked.record["classes"][:_MAX_CLASSES]):
        own = np.flatnonzero(images.labels == label)
        shown = own[np.linspace(0, len(own) - 1, min(len(own), _IMAGES_A_CLASS)).astype(int)] if len(own) else own
        galleries.append({**record, "pictures": [png_uri(images.images[int(i)]) for i in shown]})
    return galleries


def _with_pictures(finding: Finding, images: ImageSet) -> Mapping[str, Any]:
    entries = [dict(entry) for entry in finding.entries[:_MAX_ENTRIES]]
    for entry, places in zip(entries, finding.images, strict=False):
        entry["pictures"] = [png_uri(images.images[i]) for i in places[:_IMAGES_A_CLASS]]
    return {**check.finding_record(finding), "entries": entries}
