"""Data by name or by path: a data set of the catalogue, or a person's own images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinysight.data import catalog
from tinysight.data.decoded import DecodedListing, decode_in_memory
from tinysight.data.listing import (
    EXPECTED,
    Listing,
    check_classes,
    check_counts,
    is_pattern,
    sorted_classes,
    with_groups,
)
from tinysight.data.own import OwnData, make_own_data, take
from tinysight.data.proposal import check_shape, propose_shape, propose_size
from tinysight.data.scan import class_name
from tinysight.data.unchanged import SPLITS, first_changed
from tinysight.errors import DataError, InvalidValueError, UnknownNameError
from tinysight.files import check_name
from tinysight.images import DataSet, ImageSet
from tinysight.pixels import ImageShape, array_to_input
from tinysight.recipe import Recipe

# From here on images are decoded into the cache and read from there: what takes long to decode twice, or much memory.
CACHE_FROM_IMAGES, CACHE_FROM_BYTES = 20_000, 256 << 20


def load_data(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    group_by: str | None = None,
) -> DataSet:
    """The data set of that name, or a person's own images at that path; `docs/own-images.md` lists the layouts.

    A name of the catalogue wins over a folder of the same name, which `./NAME` names. The options are for own images;
    pixels come from the same rule as in prediction, so that training sees what prediction will.

    Args:
        name_or_path: as in "cifar10", "pictures/" or "labels.csv".
        data_dir: as `tinysight.data.catalog.load`; of no effect on a path.
        image_size: (height, width) of 8 to 256 pixels that every image is brought to; None to propose it.
        channels: 1 (grey) or 3 (colour); None for grey when all images are grey.
        test_fraction: the part that is cut off as test split, by class, where the data brings none.
        seed: of that cut, >= 0.
        group_by: a column, or a regular expression with one group that is searched in file names: images of which it
            gives the same are kept on one side of every split; or None.

    Returns:
        uint8 images and int32 labels; an `OwnData` for a path, whose images stay on disk when they are many.

    Raises:
        UnknownNameError: when it is neither a name nor a path.
        InvalidValueError: when an option is out of range, or comes with a name of the catalogue.
        DataError: when nothing there can be trained on; the text says what was found.
    """
    check_shape(image_size, channels)
    if not 0 < test_fraction < 1 or seed < 0:
        raise InvalidValueError(
            f"test fraction is {test_fraction} and seed {seed}; expected a fraction between 0 and 1, a seed from 0"
        )
    name = str(name_or_path)
    if name in catalog.CATALOG:
        if (image_size, channels, group_by) != (None, None, None):
            raise InvalidValueError(f"{name} is taken as it is: image size, channels and groups are for own images")
        return catalog.load(name, data_dir)
    path = _existing(name)
    settings = {
        "name_or_path": str(path), "image_size": image_size, "channels": channels,
        "test_fraction": test_fraction, "seed": seed, "group_by": group_by,
    }  # fmt: skip
    if path.is_file() and path.suffix.lower() == ".npz":
        return _load_npz(path, settings)
    return _load_listing(list_images(path, group_by), settings)


def list_images(path: Path, group_by: str | None = None) -> Listing:
    """The images at a path, before any decoding.

    Args:
        path: a folder or a .csv, .tsv or .jsonl file.
        group_by: as `load_data`.

    Raises:
        DataError, InvalidValueError: as `load_data`.
    """
    from tinysight.data.arrow import is_arrow_folder, read_arrow_folder
    from tinysight.data.folder import MANIFEST_ENDINGS, read_folder
    from tinysight.data.manifest import read_manifest

    column = None if group_by is None or is_pattern(group_by) else group_by
    if path.is_dir() and is_arrow_folder(path):
        listing = read_arrow_folder(path, column)
    elif path.is_dir():
        if column is not None:
            raise InvalidValueError(
                f"group_by '{column}' names a column, which a folder has not; expected a regular expression with one"
                " group for file names, as in '^([^_]+)_'"
            )
        listing = read_folder(path)
    elif path.suffix.lower() in MANIFEST_ENDINGS:
        listing = read_manifest(path, column)
    else:
        raise DataError(f"'{path}' is no data that can be read; {EXPECTED}")
    return listing if group_by is None or column is not None else with_groups(listing, group_by)


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    try:
        found = path.resolve() if path.exists() else None
    except (OSError, ValueError):
        found = None  # Too long, or with a null byte: no path of anything.
    if found is not None:
        check_name(found)
        return found
    if not _looks_like_path(name):
        raise UnknownNameError("data set or folder", name, catalog.CATALOG)
    raise DataError(f"no data at '{name}': there is no such folder or file")


def _looks_like_path(name: str) -> bool:
    return any(sign in name for sign in "/\\.~")


def _load_listing(listing: Listing, settings: dict[str, Any]) -> OwnData:
    names = [item.name for item in listing.items]
    # Before hours of decoding; what cannot be read may still take a class away later.
    check_classes(listing.root, listing.items)
    shape = propose_shape(listing.kind, listing.base, names, settings["image_size"], settings["channels"])
    # When none of the images looked at can be read, decoding them says which and why.
    shape = shape or (32, 32, 3)
    decoded = decode(listing, shape)
    check_counts(listing.root, _counts(decoded))
    return make_own_data(
        decoded.images,
        decoded.splits,
        decoded.groups,
        settings=_with_shape(settings, shape),
        layout=listing.layout,
        left_out=listing.left_out + decoded.unreadable,
        origin=_origin(listing.root, listing.layout, len(decoded.images), len(decoded.unreadable)),
        lost_classes=_lost_classes(listing, decoded.images.class_names),
    )


def _lost_classes(listing: Listing, kept: tuple[str, ...]) -> tuple[str, ...]:
    empty = {class_name(item.name.rsplit("/", 1)[-1]) for item in listing.left_out if item.kind == "empty class"}
    return sorted_classes((empty | {item.label for item in listing.items}) - set(kept))


def decode(listing: Listing, shape: ImageShape) -> DecodedListing:
    """Every image of a listing, in memory or, when they are many, in the cache; classes are not checked."""
    height, width, channels = shape
    num_images = len(listing.items)
    if num_images >= CACHE_FROM_IMAGES or num_images * height * width * channels >= CACHE_FROM_BYTES:
        from tinysight.data.cache import decode_to_cache

        return decode_to_cache(listing, shape)
    return decode_in_memory(listing, shape)


def load_to_score(path: str | Path, image_shape: ImageShape, split: str) -> tuple[ImageSet, str]:
    """A person's labelled images, brought to the input of a model that is there already; nothing is cut off.

    Args:
        path: as `load_data`; not a name of the catalogue.
        image_shape: (height, width, channels) of the model.
        split: "test" or "train", where the data brings a test split.

    Returns:
        The images, and which they are: `split`, or "all" where the data has no test split. Classes may be few.

    Raises:
        DataError: when there is nothing that can be read, or not that split.
    """
    found = _existing(str(path))
    if found.is_file() and found.suffix.lower() == ".npz":
        decoded = decode_archive(found, None, image_shape[:2], image_shape[2])
    else:
        decoded = decode(list_images(found), image_shape)
    if not len(decoded.images):
        raise DataError(f"'{found}' holds no image that can be read")
    if "test" not in decoded.splits:
        return decoded.images, "all"
    if split not in decoded.splits:
        raise DataError(f"'{found}' has no images of the split {split}; it has {', '.join(decoded.splits)}")
    return take(decoded.images, decoded.splits[split]), split


def _counts(decoded: DecodedListing) -> dict[tuple[str | None, str], int]:
    names = decoded.images.class_names
    return {
        (split, names[label]): int(count)
        for split, indices in decoded.splits.items()
        for label, count in enumerate(np.bincount(decoded.images.labels[indices]))
        if count
    }


def decode_archive(
    path: Path, group_by: str | None, image_size: tuple[int, int] | None = None, channels: int | None = None
) -> DecodedListing:
    """Every image of a NumPy archive, in memory; classes are not checked. Arguments and errors as `load_data`."""
    from tinysight.data.npz import read_npz

    if group_by is not None and is_pattern(group_by):
        raise InvalidValueError(f"group_by '{group_by}': an archive has no file names; name one of its arrays")
    archive = read_npz(path, group_by)
    shape = _npz_shape(list(archive.images.values()), image_size, channels)
    parts = [array_to_input(images, shape) for images in archive.images.values()]
    ends = np.cumsum([0, *map(len, parts)])
    return DecodedListing(
        images=ImageSet(
            images=parts[0] if len(parts) == 1 else np.concatenate(parts),
            labels=np.concatenate(list(archive.labels.values())),
            class_names=archive.class_names,
        ),
        splits={split: np.arange(ends[i], ends[i + 1]) for i, split in enumerate(archive.images)},
        groups=archive.groups,
        unreadable=(),
    )


def _load_npz(path: Path, settings: dict[str, Any]) -> OwnData:
    decoded = decode_archive(path, settings["group_by"], settings["image_size"], settings["channels"])
    check_counts(path, _counts(decoded))
    return make_own_data(
        decoded.images,
        decoded.splits,
        decoded.groups,
        settings=_with_shape(settings, decoded.images.image_shape),
        layout="NumPy archive",
        left_out=(),
        origin=_origin(path, "NumPy archive", len(decoded.images), 0),
    )


def _npz_shape(parts: list[Any], size: tuple[int, int] | None, channels: int | None) -> ImageShape:
    size = size or propose_size([part.shape[1:3] for part in parts])
    if channels is not None:
        return (*size, channels)
    grey = all(bool((part[..., :3] == part[..., :1]).all()) for part in parts)
    return (*size, 1 if grey else 3)


def _with_shape(settings: dict[str, Any], shape: ImageShape) -> dict[str, Any]:
    return {**settings, "image_size": list(shape[:2]), "channels": shape[2]}


def _origin(path: Path, layout: str, num_images: int, num_unreadable: int) -> str:
    text = f"{path} ({layout}, {num_images:,} images read"
    return f"{text}, {num_unreadable:,} unreadable left out)" if num_unreadable else f"{text})"


def load_of_recipe(recipe: Recipe, data_dir: str | Path | None = None) -> DataSet:
    """The data that a recipe names, with its image size, channels and groups where it is a person's own.

    Raises:
        TinysightError: as `load_data`.
    """
    return load_data(
        recipe.data,
        data_dir,
        image_size=(recipe.image_size[0], recipe.image_size[-1]) if recipe.image_size else None,
        channels=recipe.channels,
        test_fraction=recipe.test_split,
        seed=recipe.seed if recipe.test_seed is None else recipe.test_seed,
        group_by=recipe.group_by,
    )


def choose_data(
    recipe: Recipe, data_dir: str | Path | None, *, anything: bool = False, say: Callable[[str], None]
) -> DataSet:
    """The data that a recipe names, or what is at hand.

    Args:
        recipe: its field `data` is a name or a path.
        data_dir: where extracted archives lie.
        anything: whether neither recipe nor data were named: then CIFAR-10, or what comes inside a dependency.
        say: takes a line when that is not CIFAR-10.

    Raises:
        DataUnavailableError: when a named data set cannot be had. A substitute is taken only where nothing was named.
    """
    if anything:
        data, note = catalog.default_data(data_dir)
        if note:
            say(note)
        return data
    return load_of_recipe(recipe, data_dir)


def _place_now(stored: str, data_dir: str | Path | None) -> Path:
    """Where a run's own images lie: where `data_dir` says, unless that comes from the environment."""
    is_named = data_dir is not None and str(data_dir) != os.environ.get("TINYSIGHT_DATA")
    path = Path(data_dir if is_named and data_dir else stored).expanduser().resolve()
    if not path.exists():
        raise DataError(f"no data at '{path}': there is no such folder or file; --data-dir says where it lies now")
    return path


def load_again(
    described: Mapping[str, Any], data_dir: str | Path | None = None, splits: Iterable[str] = SPLITS
) -> DataSet:
    """The data that a run was trained on, from what the run stored of it.

    Args:
        described: the content of the run's data file.
        data_dir: where extracted archives lie, or one's own images by now; None for where they lay then. The folder of
            TINYSIGHT_DATA is for archives alone.
        splits: of one's own images, those that have to be as they were then.

    Raises:
        TinysightError: as `load_data`, when it is gone or changed.
    """
    own = described.get("own")
    if own is None and described["name"] not in catalog.CATALOG:
        raise DataError(
            f"the run was trained on a DataSet made in Python, '{described['name']}', whose images are stored nowhere:"
            " hand it in, as in run.evaluate(data=...)"
        )
    if own is None:
        return load_data(described["name"], data_dir or described.get("data_dir"))
    settings = dict(own["settings"])
    size = settings.pop("image_size")
    path = _place_now(settings.pop("name_or_path"), data_dir)
    data = load_data(path, image_size=None if size is None else tuple(size), **settings)
    if changed := first_changed(described, data, splits):
        held = "held out" if changed == "test" else "used"
        raise DataError(
            f"'{data.name}' has changed since the run was made, so its {changed} images would not be those that were"
            f" {held}: restore it, or score other images, in a folder of their own, with `tinysight evaluate RUN"
            " --data FOLDER`"
        )
    return data
