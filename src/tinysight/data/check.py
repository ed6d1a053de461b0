"""What is to be known of a person's images before anything trains: counts, and findings by how much they matter."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tinysight.data.listing import SPLITS
from tinysight.data.pictures import Facts
from tinysight.data.scan import LeftOut
from tinysight.images import ImageSet

PROBLEM, WARNING, NOTE = "problem", "warning", "note"
# Below this a class's own accuracy has an interval of 40 points and more.
FEW_IMAGES = 20
# From here on the largest class hides how the smallest does.
IMBALANCE = 10.0
_MIN_SIDE = 8
_ENDINGS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "WebP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
}
# How each kind of file that is left out is told: severity, and what the files are.
_LEFT_OUT = {
    "unreadable": (WARNING, "files that cannot be read, left out where they are"),
    "missing": (WARNING, "files that are named and do not exist"),
    "link out": (WARNING, "links that lead out of the folder, not followed"),
    "link": (WARNING, "links to folders inside, whose images would count twice, not followed"),
    "stray": (WARNING, "images in no class folder, left out"),
    "empty class": (WARNING, "class folders without an image, which are no classes"),
    "other file": (NOTE, "other files, left out"),
    "hidden": (NOTE, "hidden files and folders, left out"),
    "system": (NOTE, "files of the operating system or an archive program, left out"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know.

    Attributes:
        kind: one word or two, the same in every report.
        severity: "problem" (it changes results), "warning" or "note".
        text: one line.
        entries: what it is about; each has `paths`, and `note` where there is more to say.
        images: positions of the images of each entry, for pictures; empty where there are none.
    """

    kind: str
    severity: str
    text: str
    entries: list[dict[str, Any]] = field(default_factory=list)
    images: list[list[int]] = field(default_factory=list, repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What is checked.

    Attributes:
        images: every image that can be read; its `sources` name them.
        splits: positions of the splits that the data brings; "train" alone when it brings none.
        groups: for each image the object that it shows, or None.
        facts: the header's facts of each image, or None where the data has no files.
        left_out: what is not used.
    """

    images: ImageSet
    splits: Mapping[str, Any]
    groups: Sequence[str] | None
    facts: Sequence[Facts] | None
    left_out: Sequence[LeftOut]

    def split_of(self) -> list[str]:
        """The split of each image."""
        names = np.empty(len(self.images), dtype=object)
        for split, indices in self.splits.items():
            names[indices] = split
        return [str(name) for name in names]


def class_records(subject: Subject) -> list[dict[str, Any]]:
    """One record a class: its name, how many images in all and in each split."""
    images = subject.images
    per_split = {
        split: np.bincount(images.labels[indices], minlength=images.num_classes)
        for split, indices in subject.splits.items()
    }
    total = images.counts()
    return [
        {
            "name": name,
            "num_images": int(total[label]),
            "splits": {split: int(per_split[split][label]) for split in SPLITS if split in per_split},
        }
        for label, name in enumerate(images.class_names)
    ]


def file_records(subject: Subject) -> dict[str, list[dict[str, Any]]]:
    """Sizes, modes and formats of the files, most frequent first; empty lists where the data has no files."""
    facts = subject.facts or ()
    sizes = Counter((each.height, each.width) for each in facts).most_common()
    return {
        "sizes": [{"height": height, "width": width, "num_images": count} for (height, width), count in sizes],
        "modes": [
            {"mode": mode, "num_images": count} for mode, count in Counter(each.mode for each in facts).most_common()
        ],
        "formats": [
            {"format": name, "num_images": count}
            for name, count in Counter(each.format for each in facts).most_common()
        ],
    }


def find_all(subject: Subject, copies: list[list[int]], similar: list[tuple[int, int, float]]) -> list[Finding]:
    """Every finding, those that matter most first.

    Args:
        subject: what is checked.
        copies: groups of images with the same pixels, as `similar.find_copies` gives.
        similar: pairs of similar images, as `similar.find_similar` gives.
    """
    found = [
        *_class_findings(subject),
        *_copy_findings(subject, copies),
        *_similar_findings(subject, copies, similar),
        *_group_findings(subject),
        *_file_findings(subject),
        *_left_out_findings(subject.left_out),
    ]
    order = (PROBLEM, WARNING, NOTE)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def finding_record(finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    record = asdict(finding)
    del record["images"]
    return {**record, "num_entries": len(finding.entries)}


def _class_findings(subject: Subject) -> Iterator[Finding]:
    records = class_records(subject)
    missing = [
        {"paths": [record["name"]], "note": f"has no image in {split}, {record['num_images']:,} elsewhere"}
        for record in records
        for split, count in record["splits"].items()
        if not count
    ]
    if missing:
        yield Finding("missing class", PROBLEM, f"classes missing from a split: {len(missing):,}", missing)
    single = [record for record in records if len(record["splits"]) == 1 and record["num_images"] == 1]
    if single:
        text = f"classes with a single image, which cannot be in training and test: {len(single):,}"
        yield Finding("single image", PROBLEM, text, [{"paths": [record["name"]]} for record in single])
    few = [record for record in records if record["num_images"] < FEW_IMAGES and record not in single]
    if few:
        entries = [{"paths": [record["name"]], "note": f"{record['num_images']:,} images"} for record in few]
        yield Finding("few images", WARNING, f"classes with fewer than {FEW_IMAGES} images: {len(few):,}", entries)
    counts = sorted(record["num_images"] for record in records)
    if counts[-1] >= IMBALANCE * counts[0]:
        text = f"the largest class has {counts[-1]:,} images, {counts[-1] / max(counts[0], 1):,.0f} times the smallest;"
        text += " --set class_weights=balanced or --set sampling=balanced evens them out in training"
        yield Finding("imbalance", WARNING, text)


def _copy_findings(subject: Subject, copies: list[list[int]]) -> Iterator[Finding]:
    split_of, labels = subject.split_of(), subject.images.labels
    in_classes = [group for group in copies if len({int(labels[i]) for i in group}) > 1]
    if in_classes:
        yield _about_images(
            subject,
            "one image, two classes",
            PROBLEM,
            f"images that are in more than one class: {len(in_classes):,}",
            in_classes,
        )
    in_splits = [group for group in copies if len({split_of[i] for i in group}) > 1]
    if in_splits:
        text = f"images in more than one split, so that test figures come out too good: {len(in_splits):,}"
        yield _about_images(subject, "copies across splits", PROBLEM, text, in_splits)
    elsewhere = [group for group in copies if group not in in_splits]
    if elsewhere:
        text = f"images that occur more than once: {len(elsewhere):,}"
        if "test" not in subject.splits:
            text += "; a test split that is cut may have copies of training images"
        yield _about_images(subject, "copies", WARNING, text, elsewhere)


def _similar_findings(
    subject: Subject, copies: list[list[int]], similar: list[tuple[int, int, float]]
) -> Iterator[Finding]:
    split_of, labels = subject.split_of(), subject.images.labels
    copy_of = {member: group[0] for group in copies for member in group}
    kinds: dict[str, list[tuple[list[int], float]]] = defaultdict(list)
    for first, second, value in similar:
        if copy_of.get(first, first) == copy_of.get(second, second):
            continue
        kinds["similar"].append(([first, second], value))
        if labels[first] != labels[second]:
            kinds["similar, two classes"].append(([first, second], value))
        if split_of[first] != split_of[second]:
            kinds["similar across splits"].append(([first, second], value))
    texts = {
        "similar, two classes": "pairs of nearly the same image in different classes",
        "similar across splits": "pairs of nearly the same image in different splits",
        "similar": "pairs of nearly the same image",
    }
    for kind, text in texts.items():
        if kinds[kind]:
            pairs, values = zip(*kinds[kind], strict=True)
            yield _about_images(subject, kind, WARNING, f"{text}: {len(pairs):,}", list(pairs), list(values))


def _group_findings(subject: Subject) -> Iterator[Finding]:
    if subject.groups is None or len(subject.splits) < 2:
        return
    split_of = subject.split_of()
    splits: dict[str, set[str]] = defaultdict(set)
    for group, split in zip(subject.groups, split_of, strict=True):
        splits[str(group)].add(split)
    entries = [
        {"paths": [group], "note": f"is in {', '.join(sorted(found))}"}
        for group, found in splits.items()
        if len(found) > 1
    ]
    if entries:
        yield Finding("groups across splits", PROBLEM, f"objects in more than one split: {len(entries):,}", entries)


def _file_findings(subject: Subject) -> Iterator[Finding]:
    if subject.facts is None:
        return
    named = list(zip(subject.images.sources, subject.facts, strict=True))
    wrong = [
        {"paths": [name], "note": f"is {facts.format}"}
        for name, facts in named
        # The cells of a table have no file names.
        if "#" not in name and not name.lower().endswith(_ENDINGS[facts.format])
    ]
    if wrong:
        text = f"files whose content is not what their ending says, read by content: {len(wrong):,}"
        yield Finding("wrong ending", WARNING, text, wrong)
    small = [
        {"paths": [name], "note": f"{facts.height}x{facts.width}"}
        for name, facts in named
        if min(facts.height, facts.width) < _MIN_SIDE
    ]
    if small:
        yield Finding("tiny", WARNING, f"images with a side of less than {_MIN_SIDE} pixels: {len(small):,}", small)
    shapes = {round(facts.width / facts.height, 2) for _, facts in named}
    if max(shapes) > 1.5 * min(shapes):
        text = f"width to height goes from {min(shapes):.2f} to {max(shapes):.2f}; all are stretched to one shape"
        yield Finding("stretched", NOTE, text)


def _left_out_findings(left_out: Iterable[LeftOut]) -> Iterator[Finding]:
    by_kind: dict[str, list[LeftOut]] = defaultdict(list)
    for item in left_out:
        by_kind[item.kind].append(item)
    for kind, (severity, text) in _LEFT_OUT.items():
        if kind in by_kind:
            entries = [{"paths": [item.name], "note": item.reason} for item in by_kind[kind]]
            yield Finding(kind, severity, f"{text}: {len(entries):,}", entries)


def _about_images(
    subject: Subject, kind: str, severity: str, text: str, groups: list[list[int]], values: Sequence[float] = ()
) -> Finding:
    images = subject.images
    entries: list[dict[str, Any]] = [
        {
            "paths": [images.sources[i] if images.sources else f"image {i}" for i in group],
            "classes": [images.class_names[images.labels[i]] for i in group],
        }
        for group in groups
    ]
    for entry, value in zip(entries, values, strict=False):
        entry["similarity"] = round(value, 4)
    return Finding(kind, severity, text, entries, groups)
