"""A whole data set in the cache, or nothing: downloaded, verified, unpacked, checked, then moved into place."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from tinysight.data.download import RemoteFile, download
from tinysight.errors import DataError, DataUnavailableError

# EFBIG is what a limit on file sizes gives. Windows has no EDQUOT.
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def install(
    name: str, files: Sequence[RemoteFile], target: Path, *, check: Callable[[Path], object], is_archive: bool
) -> bool:
    """Puts the folder `target` in place, whole, unless it is there and passes `check`.

    Two processes may do this at once: one downloads, the other waits and finds it done.

    Args:
        name: the data set, for the texts.
        files: what to download: one archive that holds a folder called as `target`, or the files of that folder.
        target: the folder to make.
        check: reads a folder and raises DataError when it is not the data set.
        is_archive: which of the two `files` is.

    Returns:
        whether it was downloaded just now.

    Raises:
        DataUnavailableError: when no address serves a file (what came so far is kept for the next try), or when the
            cache cannot be written.
        DataError: when the disk is full or the archive is refused; nothing is kept.
    """
    cache = target.parent
    downloads, staging = cache / ".downloads" / target.name, cache / f".partial-{target.name}"
    with _errors_for_people(name, target), _only_process(cache, target.name):
        if target.is_dir() and _passes(check, target):
            return False
        _remove(staging)
        with _left_clean(downloads, staging):
            paths = [download(file, downloads) for file in files]
            made = _unpacked(paths[0], staging, target.name) if is_archive else _gathered(paths, staging / target.name)
            check(made)
            if target.is_dir():
                target.rename(staging / "damaged")
            made.rename(target)
            _remove(downloads)
    return True


def extract(archive: Path, folder: Path) -> None:
    """Unpacks a tar archive into `folder`: plain files and folders only, and nothing outside it.

    Files are written one by one rather than by `extractall`, whose data filter early 3.11 releases lack; so no owner,
    mode, link or device of the archive reaches the disk.

    Raises:
        DataError: when the archive is damaged, or has a member that leaves the folder or is no plain file.
    """
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                destination = folder / _safe_path(archive, member)
                content = tar.extractfile(member)
                if content is None:
                    destination.mkdir(parents=True, exist_ok=True)
                else:
                    _write(content, destination)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"the archive {archive.name} is damaged ({error})") from None


def _safe_path(archive: Path, member: tarfile.TarInfo) -> PurePosixPath:
    path, as_windows = PurePosixPath(member.name), PureWindowsPath(member.name)
    if path.is_absolute() or as_windows.anchor or ".." in path.parts or ".." in as_windows.parts:
        raise DataError(f"the archive {archive.name} is refused: '{member.name}' leaves its folder")
    if not (member.isreg() or member.isdir()):
        raise DataError(f"the archive {archive.name} is refused: '{member.name}' is a link or a device")
    return path


def _write(content: IO[bytes], destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    with destination.open("wb") as out:
        shutil.copyfileobj(content, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def _unpacked(archive: Path, staging: Path, folder_name: str) -> Path:
    extract(archive, staging)
    return staging / folder_name


def _gathered(paths: Sequence[Path], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for path in paths:
        path.rename(folder / path.name)
    return folder


def _passes(check: Callable[[Path], object], folder: Path) -> bool:
    try:
        check(folder)
    except DataError as error:
        _say(f"the copy in the cache is damaged and is replaced: {error}")
        return False
    return True


@contextmanager
def _only_process(cache: Path, name: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    cache.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cache / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"another process is fetching {name}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _left_clean(downloads: Path, staging: Path) -> Iterator[None]:
    """Removes what is of no use: always the staging folder, and downloads unless the next try can go on with them."""
    try:
        yield
    except DataUnavailableError:
        raise
    except (DataError, OSError):
        _remove(downloads)
        raise
    finally:
        _remove(staging)
        _remove_if_empty(downloads)
        _remove_if_empty(downloads.parent)


@contextmanager
def _errors_for_people(name: str, target: Path) -> Iterator[None]:
    try:
        yield
    except DataUnavailableError as error:
        raise DataUnavailableError(
            f"{error}: check the network and run `tinysight data fetch {name}`, or point --data-dir at a folder that"
            f" holds {target.name}/"
        ) from None
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise DataUnavailableError(
                f"cannot write {name} to the cache {target.parent}: {error.strerror}; name another folder with"
                " TINYSIGHT_CACHE"
            ) from None
        raise DataError(
            f"no room for {name} in the cache {target.parent} ({error.strerror}): free some, or name another folder"
            " with TINYSIGHT_CACHE"
        ) from None


def _remove(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _say(text: str) -> None:
    print(text, file=sys.stderr)
