"""Listing, fetching and looking at data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinysight.data import catalog, grid
from tinysight.errors import DataError, InvalidValueError
from tinysight.images import DataSet, ImageSet

SPLITS = ("train", "test", "validation")


def list_data(data_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """One record per data set of the catalogue: what it holds, whether it is on disk and where."""
    return [_entry_record(entry, data_dir) for entry in catalog.CATALOG.values()]


def fetch_data(name: str) -> dict[str, Any]:
    """Makes sure that a data set is on this machine; the record says where and whether it was downloaded just now.

    Raises:
        UnknownNameError, DataUnavailableError, DataError: as `tinysight.data.catalog.fetch`.
    """
    place, was_downloaded = catalog.fetch(name)
    return {
        "name": name,
        "path": str(place.path),
        "downloaded": was_downloaded,
        "origin": catalog.origin(catalog.find_entry(name), place),
    }


def is_cache_hidden() -> bool:
    """Whether TINYSIGHT_DATA names a folder, which is then looked in instead of the cache."""
    return catalog.given_folder(None) is not None


def show_data(
    name: str,
    data_dir: str | Path | None = None,
    *,
    split: str = "train",
    rows: int = 5,
    cols: int = 5,
    seed: int | None = None,
    output: str | Path | None = None,
) -> dict[str, Any]:
    """Draws a grid of a data set's images and counts them.

    Args:
        name: a name of the catalogue.
        data_dir: as `tinysight.data.catalog.load`.
        split: "train", "test" or "validation".
        rows, cols: the grid.
        seed: None for the first images, else the seed of a random choice.
        output: the PNG file; None for NAME-grid.png in the current folder. Only an earlier grid is overwritten.

    Returns:
        Name and origin of the data, how many images the split and each class have, their shape and range, the picture's
        path and which images it shows, as `--json` prints them.

    Raises:
        UnknownNameError, DataUnavailableError, DataError: as `tinysight.data.catalog.load`.
        InvalidValueError: when an argument is out of range or the output is in the way.
    """
    path = Path(output) if output is not None else Path(f"{name}-grid.png")
    catalog.find_entry(name)
    grid.check_size(rows, cols)
    grid.check_free(path)
    if seed is not None and seed < 0:
        raise InvalidValueError(f"seed is {seed}; expected 0 or more")
    data = catalog.load(name, data_dir)
    image_set = _split_of(data, split)
    indices = grid.choose(len(image_set), rows * cols, seed)
    try:
        grid.draw_grid(image_set, rows, cols, indices, path)
    except OSError as error:
        raise DataError(f"cannot write the grid {path}: {error.strerror}; name another file with --output") from None
    return {
        "name": data.name,
        "split": split,
        "origin": data.origin,
        **_split_record(image_set),
        "grid": str(path),
        "indices": indices.tolist(),
    }


def _split_of(data: DataSet, split: str) -> ImageSet:
    if split not in SPLITS:
        raise InvalidValueError(f"split is '{split}'; expected one of: {', '.join(SPLITS)}")
    image_set: ImageSet | None = getattr(data, split)
    if image_set is None:
        raise InvalidValueError(f"{data.name} brings no {split} split; choose train or test")
    return image_set


def _split_record(image_set: ImageSet) -> dict[str, Any]:
    return {
        "num_images": len(image_set),
        "image_shape": list(image_set.image_shape),
        "value_range": [int(image_set.images.min()), int(image_set.images.max())],
        "classes": [
            {"name": name, "num_images": int(count)}
            for name, count in zip(image_set.class_names, image_set.counts(), strict=True)
        ],
    }


def _entry_record(entry: catalog.Entry, data_dir: str | Path | None) -> dict[str, Any]:
    place = catalog.locate(entry, data_dir)
    missing = catalog.missing_files(entry, place) if place else []
    return {
        "name": entry.name,
        "description": entry.description,
        "num_train": entry.num_train,
        "num_test": entry.num_test,
        "image_shape": list(entry.image_shape),
        "num_classes": entry.num_classes,
        "on_disk": place is not None and not missing,
        "path": str(place.path) if place else None,
        "missing_files": missing,
    }
