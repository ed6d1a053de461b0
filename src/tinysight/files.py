"""Files that are whole or absent: written beside their place, then moved into it in one step."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinysight.errors import DiskFullError, InvalidValueError

_PARTIAL = ".partial-"
# No room on the disk, a quota, or a limit on the size of a file; Windows has no quotas.
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, with its ending, that replaces `path` when the block ends well.

    When the block raises, the temporary file is removed and `path` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(prefix=_PARTIAL, suffix="".join(path.suffixes[-2:]), dir=path.parent)
    except OSError as error:
        # The name that a person knows.
        error.filename = str(path)
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a run is as readable as any other file of the person's.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(f"the disk is full: {path} was not written; free some space and try again") from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def is_disk_full(error: OSError) -> bool:
    """Whether there was no room for a file; NumPy says so in words alone."""
    return error.errno in _FULL or re.fullmatch(r"\d+ requested and \d+ written", str(error)) is not None


def check_name(path: Path) -> None:
    """Files that describe a run are UTF-8 and hold the names of its folders.

    Raises:
        InvalidValueError: when a name in `path`, absolute, is in another encoding.
    """
    absolute = str(path.absolute())
    try:
        absolute.encode()
    except UnicodeEncodeError:
        shown = absolute.encode(errors="backslashreplace").decode()
        raise InvalidValueError(f"the folder name {shown} is not UTF-8: rename it, or name another") from None


def sync_folder(folder: Path) -> None:
    """Makes the names of files in `folder` survive a power cut, where the system can be asked for that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_partial(folder: Path) -> None:
    """Removes what a killed process left of files that it was writing into `folder`; nobody else may be writing."""
    for path in folder.glob(f"{_PARTIAL}*") if folder.is_dir() else ():
        path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> Path:
    """Writes `content` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def write_text(path: Path, text: str) -> Path:
    """Writes `text` to `path` as UTF-8 with Unix line ends, whole or not at all.

    Of a file name that is not UTF-8 come escapes, `\\udce9` for the byte e9, from which JSON reads the same name.
    """
    return write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> Path:
    """Writes `value` to `path` as indented JSON, whole or not at all; NaN and infinity are refused."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The hexadecimal digest of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
