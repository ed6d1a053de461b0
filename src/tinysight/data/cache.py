"""Decoded images on disk, for folders that are large: decoded once, then read as a memory map.

A cached listing is a folder of `images.u8` (uint8, n times height, width, channels, in a row), `names.u8` with
`ends.npy` (the images' names) and `index.json`. Its name is a digest of the files' names, sizes and times and of the
settings, so that a changed folder is decoded anew. Until it is whole it is called `.partial-...`; what a killed process
left there is gone on with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinysight.data.catalog import cache_dir
from tinysight.data.decoded import DecodedListing, check_readable, describe_readable
from tinysight.data.listing import Listing
from tinysight.data.picture_pool import decode_all
from tinysight.data.pictures import decode_pictures, reader
from tinysight.data.progress import Progress
from tinysight.errors import DataError
from tinysight.files import atomic_path, read_json, write_bytes, write_json
from tinysight.images import ImageSet
from tinysight.pixels import ImageShape, may_pass
from tinysight.stored import StoredNames, open_rows

# Goes up when the files here, or the pixels that a file decodes to, change.
_VERSION = 1
_SAVE_SECONDS = 5.0
_COPY_BYTES = 16 << 20
_IMAGES, _NAMES, _ENDS, _INDEX, _STATE = "images.u8", "names.u8", "ends.npy", "index.json", "state.json"
_PARTIAL = ".partial-"


@dataclass
class _State:
    """How far a listing is decoded: everything before it is on the disk."""

    num_done: int = 0
    num_rows: int = 0
    failed: dict[int, str] = field(default_factory=dict)


def cache_root() -> Path:
    """Where decoded images are kept: `decoded` beside the downloads, in TINYSIGHT_CACHE or the platform's folder."""
    return cache_dir().parent / "decoded"


def decode_to_cache(listing: Listing, image_shape: ImageShape) -> DecodedListing:
    """Decodes all images into the cache, unless they are there, and opens them.

    Two processes may do this at once: one decodes, the other waits. After a kill the next call goes on where it was.
    Images that the system did not let be read are tried again at every call.

    Raises:
        DataError: as `decode_in_memory`; also when the disk has too little room, or the cache cannot be written.
    """
    folder = cache_root() / cache_key(listing, image_shape)
    if not _is_whole(folder) or _readable_by_now(folder, listing) is not None:
        with _errors_for_people(), _only_process(folder):
            _make_whole(folder, listing, image_shape)
    return _open(folder, listing)


def cache_key(listing: Listing, image_shape: ImageShape) -> str:
    """A digest of the images' names, sizes and times of change, and of all that decides how they are decoded."""
    import PIL

    base = listing.base.resolve()
    digest = hashlib.sha256(repr((_VERSION, PIL.__version__, listing.kind, str(base), tuple(image_shape))).encode())
    stamps: dict[str, tuple[int, int]] = {}
    for item in listing.items:
        # The cells of an Arrow file change with it.
        file = item.name.rsplit("#", 1)[0] if listing.kind == "arrow" else item.name
        # Joined as text: a million Path objects take longer than the system's answers.
        stamp = stamps[file] if file in stamps else _stamp(os.path.join(base, file))
        if listing.kind == "arrow":
            stamps[file] = stamp
        digest.update(f"{item.name}\0{stamp}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _stamp(file: str) -> tuple[int, int]:
    try:
        status = os.stat(file)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _is_whole(folder: Path) -> bool:
    try:
        index = read_json(folder / _INDEX)
        size = (folder / _IMAGES).stat().st_size
        return bool(size == index["num_images"] * int(np.prod(index["image_shape"])))
    except (FileNotFoundError, ValueError):
        return False


def _make_whole(folder: Path, listing: Listing, image_shape: ImageShape) -> None:
    if _is_whole(folder):
        position = _readable_by_now(folder, listing)
        if position is None:
            return
        _begin_from(folder, position)
        remove(folder)
    elif folder.is_dir():
        _say(f"the decoded images in {folder} are damaged and are decoded anew")
        remove(folder)
    _build(folder, listing, image_shape)


def _readable_by_now(folder: Path, listing: Listing) -> int | None:
    """The first position whose image the system did not let be read, and now does."""
    index = read_json(folder / _INDEX)
    positions = sorted(position for position, reason in index["failed"] if may_pass(reason))
    if not positions:
        return None
    names = [listing.items[position].name for position in positions]
    _, failed = decode_pictures(reader(listing.kind, listing.base), names, tuple(index["image_shape"]))
    still = {number for number, reason in failed if may_pass(reason)}
    return next((position for number, position in enumerate(positions) if number not in still), None)


def _begin_from(folder: Path, position: int) -> None:
    """Begins a whole listing anew with what it has before `position`; a copy, as others may have it mapped."""
    index = read_json(folder / _INDEX)
    failed = {number: reason for number, reason in index["failed"] if number < position}
    state = _State(position, position - len(failed), failed)
    partial = folder.with_name(_PARTIAL + folder.name)
    partial.mkdir(exist_ok=True)
    row_bytes = int(np.prod(index["image_shape"]))
    _check_room(partial, state.num_rows * row_bytes)
    with (folder / _IMAGES).open("rb") as whole, (partial / _IMAGES).open("wb") as file:
        for start in range(0, state.num_rows * row_bytes, _COPY_BYTES):
            file.write(whole.read(min(_COPY_BYTES, state.num_rows * row_bytes - start)))
        _save(partial, file, state)


def cached_folders() -> list[Path]:
    """What is in the cache: whole listings and begun ones."""
    root = cache_root()
    return sorted(path.parent for path in root.glob(f"*/{_INDEX}")) if root.is_dir() else []


def read_index(folder: Path) -> dict[str, Any]:
    """What a cached folder says of itself; `num_bytes` is what it takes on the disk."""
    index: dict[str, Any] = read_json(folder / _INDEX)
    return {**index, "num_bytes": sum(path.stat().st_size for path in folder.iterdir())}


def _build(folder: Path, listing: Listing, image_shape: ImageShape) -> None:
    partial = folder.with_name(_PARTIAL + folder.name)
    partial.mkdir(parents=True, exist_ok=True)
    row_bytes = int(np.prod(image_shape))
    state = _read_state(partial, row_bytes)
    names = [item.name for item in listing.items]
    _check_room(partial, (len(names) - state.num_done) * row_bytes)
    write_json(partial / _INDEX, _index(listing, image_shape, state, is_whole=False))
    with (partial / _IMAGES).open("ab") as file, Progress("decoding", len(names), state.num_done) as progress:
        file.truncate(state.num_rows * row_bytes)
        last_saved = time.monotonic()
        for part in decode_all(listing.kind, listing.base, names, image_shape, state.num_done):
            file.write(part.images.tobytes())
            state.num_done, state.num_rows = part.stop, state.num_rows + len(part.images)
            state.failed.update(part.failed)
            progress.advance_to(part.stop)
            if time.monotonic() - last_saved > _SAVE_SECONDS:
                _save(partial, file, state)
                last_saved = time.monotonic()
        _save(partial, file, state)
    try:
        check_readable(listing, state.failed)
    except DataError:
        shutil.rmtree(partial)
        raise
    _write_names(partial, [name for position, name in enumerate(names) if position not in state.failed])
    write_json(partial / _INDEX, _index(listing, image_shape, state, is_whole=True))
    (partial / _STATE).unlink()
    partial.rename(folder)


def _read_state(partial: Path, row_bytes: int) -> _State:
    try:
        stored = read_json(partial / _STATE)
        size = (partial / _IMAGES).stat().st_size
    except (FileNotFoundError, json.JSONDecodeError):
        return _State()
    if size < stored["num_rows"] * row_bytes:
        return _State()
    _say(f"going on with {stored['num_done']:,} images that were decoded before")
    return _State(stored["num_done"], stored["num_rows"], dict(map(tuple, stored["failed"])))


def _save(partial: Path, file: IO[bytes], state: _State) -> None:
    # Pixels first: the state never says more than the disk has.
    file.flush()
    os.fsync(file.fileno())
    write_json(partial / _STATE, {**vars(state), "failed": list(state.failed.items())})


def _index(listing: Listing, image_shape: ImageShape, state: _State, *, is_whole: bool) -> dict[str, Any]:
    return {
        "data": str(listing.root.resolve()),
        "layout": listing.layout,
        "image_shape": list(image_shape),
        "num_images": state.num_rows if is_whole else len(listing.items),
        "is_whole": is_whole,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "failed": list(state.failed.items()) if is_whole else [],
    }


def _write_names(folder: Path, names: list[str]) -> None:
    texts = [name.encode("utf-8", "surrogateescape") for name in names]
    write_bytes(folder / _NAMES, b"".join(texts))
    with atomic_path(folder / _ENDS) as temporary:
        np.save(temporary, np.cumsum([len(text) for text in texts], dtype=np.int64))


def _open(folder: Path, listing: Listing) -> DecodedListing:
    index = read_json(folder / _INDEX)
    shape = (index["num_images"], *index["image_shape"])
    images: Any = open_rows(folder / _IMAGES, shape)
    names: Any = StoredNames(np.memmap(folder / _NAMES, np.uint8, "r"), np.load(folder / _ENDS, mmap_mode="r"))
    readable = describe_readable(listing, dict(map(tuple, index["failed"])))
    return DecodedListing(
        images=ImageSet(images=images, labels=readable.labels, class_names=readable.class_names, sources=names),
        splits=readable.splits,
        groups=readable.groups,
        unreadable=readable.unreadable,
    )


def _check_room(folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes + (64 << 20):
        raise DataError(
            f"the decoded images need {num_bytes / 1e9:.1f} GB in {folder.parent}, which has {free / 1e9:.1f} GB free:"
            " free some (`tinysight data cache clear`), or name another folder with TINYSIGHT_CACHE"
        )


@contextmanager
def _only_process(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_path(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say("another process is decoding the same images; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def lock_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name.removeprefix(_PARTIAL)}.lock")


def remove(folder: Path) -> None:
    """Removes a cached folder: first out of sight in one step, so that it is never seen in part."""
    aside = folder.with_name(f".removed-{folder.name}-{os.getpid()}")
    folder.rename(aside)
    shutil.rmtree(aside)


@contextmanager
def _errors_for_people() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write decoded images to the cache {cache_root()}: {error.strerror}; free some room, or name"
            " another folder with TINYSIGHT_CACHE"
        ) from None


def _say(text: str) -> None:
    print(text, file=sys.stderr)
