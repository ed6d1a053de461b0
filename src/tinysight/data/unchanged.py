"""Whether a person's own images are still those that a run was made on: digests of each split, which a run keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinysight.images import DataSet, ImageSet
from tinysight.stored import StoredImages

SPLITS = ("train", "validation", "test")
_BLOCK = 1024


def split_digests(data: DataSet, splits: Iterable[str] = SPLITS) -> dict[str, dict[str, Any]]:
    """For each split that the data has, a digest of the images in the order they are used.

    Returns:
        Split -> `names`, of names and classes; `pixels`, None for images on disk; and the `pillow` that decoded them,
        as other versions may decode the same file to other pixels. JSON.
    """
    import PIL

    return {
        split: {"names": _names(images), "pixels": _pixels(images), "pillow": PIL.__version__}
        for split in splits
        if (images := getattr(data, split)) is not None
    }


def first_changed(described: Mapping[str, Any], data: DataSet, splits: Iterable[str] = SPLITS) -> str | None:
    """The first of the splits whose images are not those of the run; None when all are, or the run keeps no digests.

    Args:
        described: the content of the run's data file.
        data: what is there now.
        splits: those that matter.
    """
    kept = (described.get("own") or {}).get("digests")
    if kept is None:
        return None
    wanted = tuple(splits)
    now = split_digests(data, wanted)
    return next((split for split in wanted if _differ(kept.get(split), now.get(split))), None)


def _differ(kept: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> bool:
    if kept is None or now is None:
        return kept is not now
    if kept["names"] != now["names"]:
        return True
    comparable = None not in (kept["pixels"], now["pixels"]) and kept["pillow"] == now["pillow"]
    return comparable and kept["pixels"] != now["pixels"]


def _names(images: ImageSet) -> str:
    classes = [images.class_names[label] for label in images.labels.tolist()]
    names = images.sources if len(images.sources) else [""] * len(classes)
    digest = hashlib.sha256()
    for name, label in zip(names, classes, strict=True):
        digest.update(f"{name}\0{label}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _pixels(images: ImageSet) -> str | None:
    if isinstance(images.images, StoredImages):
        return None
    digest = hashlib.sha256(repr(images.images.shape).encode())
    for start in range(0, len(images), _BLOCK):
        digest.update(np.ascontiguousarray(images.images[start : start + _BLOCK]).data)
    return digest.hexdigest()
