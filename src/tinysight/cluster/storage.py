"""Where the checkpoints of a training on several machines lie: a folder that all see, or a place that fsspec knows."""

from __future__ import annotations

import contextlib
import posixpath
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tinysight.errors import InvalidValueError
from tinysight.files import remove_partial
from tinysight.training.checkpoints import NUM_KEPT, Checkpoint, is_epochs_end, read_newest

_PARTIAL = ".partial-"


class Storage(Protocol):
    """Checkpoints in one place.

    Raises:
        InvalidValueError: by all of it, when the place cannot be reached.
    """

    def folder(self, scratch: Path) -> Path:
        """Where a worker writes them: the place itself, or `scratch`, from where `send` brings them there."""

    def send(self) -> None:
        """Brings there what was written since the last call; whole or not at all."""

    def newest(self, scratch: Path) -> Checkpoint | None:
        """The newest one that is whole; damaged ones that are newer are removed."""

    def leave_sign(self) -> str:
        """Writes a word there and returns it."""

    def has_sign(self, sign: str) -> bool:
        """Whether that word lies there."""

    def remove_sign(self, sign: str) -> None:
        """Takes it away again."""


def is_remote(place: str) -> bool:
    """Whether `place` is a URL rather than a folder of a file system.

    Raises:
        InvalidValueError: when it is neither, as it names no place.
    """
    protocol, separator, name = place.partition("://")
    if not (name if separator else place):
        raise InvalidValueError(
            f"--storage '{place}' names no place: expected a folder, or a URL as in s3://BUCKET/FOLDER"
        )
    return bool(separator) and protocol not in ("file", "local")


def open_storage(place: str) -> Storage:
    """The checkpoints at `place`: a folder, file://FOLDER, or a URL that fsspec knows, as in s3://BUCKET/PATH.

    Raises:
        InvalidValueError: when it names no place, fsspec does not know it, or lacks a package for it.
    """
    return RemoteStorage(place) if is_remote(place) else FolderStorage(_folder(place))


def found_from_everywhere(place: str) -> str:
    """`place`, with a folder named from the root on: workers stand in folders of their own.

    Raises:
        InvalidValueError: when it names no place.
    """
    return place if is_remote(place) else str(_folder(place).resolve())


def _folder(place: str) -> Path:
    return Path(place.partition("://")[2] if "://" in place else place)


class FolderStorage:
    """A folder that all machines see under the same name."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def folder(self, scratch: Path) -> Path:
        return self.place

    def send(self) -> None:
        return

    def newest(self, scratch: Path) -> Checkpoint | None:
        remove_partial(self.place)
        found, damaged = read_newest(self.place)
        for path in damaged:
            path.unlink()
        return found

    def leave_sign(self) -> str:
        sign = _new_sign()
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            (self.place / sign).touch()
        except OSError as error:
            raise InvalidValueError(f"nothing can be written to --storage {self.place}: {error.strerror}") from None
        return sign

    def has_sign(self, sign: str) -> bool:
        return (self.place / sign).is_file()

    def remove_sign(self, sign: str) -> None:
        (self.place / sign).unlink(missing_ok=True)


class RemoteStorage:
    """A place that only fsspec reaches. Files come there whole: under another name first, moved when all is there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files, self.root = _file_system(url)
        self.scratch: Path | None = None
        self.sent: set[str] = set()

    def folder(self, scratch: Path) -> Path:
        self.scratch = scratch
        return scratch

    def send(self) -> None:
        if self.scratch is None or not self.scratch.is_dir():
            return
        for path in sorted(self.scratch.glob("checkpoint-*.npz")):
            if path.name in self.sent:
                continue
            with _told("written to", self.url):
                # The digest first: a checkpoint without one would look damaged.
                self._put(path.with_suffix(".sha256").name)
                self._put(path.name)
                self.sent.add(path.name)
                self._remove_old()

    def _remove_old(self) -> None:
        """Leaves the newest two and the newest at an epoch's end, as in a run folder."""
        names = sorted(self._names("checkpoint-", ".npz"), reverse=True)
        kept = [*names[:NUM_KEPT], *[name for name in names if is_epochs_end(Path(name))][:1]]
        for name in set(names) - set(kept):
            self._remove(name)
            self._remove(Path(name).with_suffix(".sha256").name)

    def _put(self, name: str) -> None:
        assert self.scratch is not None
        self.files.makedirs(self.root, exist_ok=True)
        partial = f"{self.root}/{_PARTIAL}{secrets.token_hex(4)}-{name}"
        self.files.put_file(str(self.scratch / name), partial)
        self.files.mv(partial, f"{self.root}/{name}")

    def newest(self, scratch: Path) -> Checkpoint | None:
        scratch.mkdir(parents=True, exist_ok=True)
        with _told("read from", self.url):
            # What a worker was sending when it was killed.
            for name in self._names(_PARTIAL, ""):
                self._remove(name)
            for name in sorted(self._names("checkpoint-", ".npz"), reverse=True):
                found = self._fetch(name, scratch)
                if found is not None:
                    return found
                self._remove(name)
        return None

    def _fetch(self, name: str, scratch: Path) -> Checkpoint | None:
        """That checkpoint; None where it is damaged."""
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            for each in (Path(name).with_suffix(".sha256").name, name):
                with contextlib.suppress(FileNotFoundError):
                    self.files.get_file(f"{self.root}/{each}", str(Path(folder) / each))
            return read_newest(Path(folder))[0]

    def leave_sign(self) -> str:
        sign = _new_sign()
        with _told("written to", self.url):
            self.files.makedirs(self.root, exist_ok=True)
            self.files.pipe_file(f"{self.root}/{sign}", b"sign")
        return sign

    def has_sign(self, sign: str) -> bool:
        self.files.invalidate_cache()
        return bool(self.files.exists(f"{self.root}/{sign}"))

    def remove_sign(self, sign: str) -> None:
        with _told("removed from", self.url):
            self._remove(sign)

    def _names(self, start: str, end: str) -> list[str]:
        self.files.invalidate_cache()
        try:
            found = self.files.ls(self.root, detail=False)
        except FileNotFoundError:
            return []
        names = [posixpath.basename(path.rstrip("/")) for path in found]
        return [name for name in names if name.startswith(start) and name.endswith(end)]

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.files.rm_file(f"{self.root}/{name}")


@contextlib.contextmanager
def _told(what: str, url: str) -> Iterator[None]:
    """One line about whatever goes wrong: every file system has errors of its own."""
    try:
        yield
    except Exception as error:
        raise InvalidValueError(f"nothing can be {what} --storage {url}: {_first_line(error)}") from None


def _file_system(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise InvalidValueError(
            f"--storage {url} needs the package fsspec, which is not installed: pip install 'tinysight[cluster]'"
        ) from None
    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InvalidValueError(f"--storage {url}: {_first_line(error)}") from None
    return files, str(root).rstrip("/")


def _new_sign() -> str:
    return f"seen-{secrets.token_hex(8)}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
