"""What lies in a folder and what of it is left out: hidden and system files, links that lead elsewhere."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinysight.errors import DataError
from tinysight.pixels import IMAGE_ENDINGS

# Left by operating systems, archives and storage boxes; compared without regard to case.
_SYSTEM_NAMES = frozenset(
    {
        "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",
        "lost+found", "@eadir", "icon\r",
    }
)  # fmt: skip
_WINDOWS_HIDDEN = getattr(stat, "FILE_ATTRIBUTE_HIDDEN", 2)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that is not used.

    Attributes:
        name: its path relative to the folder that was read, with forward slashes.
        kind: "hidden", "system", "link out", "link", "other file", "stray", "empty class", "missing" or "unreadable".
        reason: why, for a person.
    """

    name: str
    kind: str
    reason: str


class Scan:
    """Walks a folder in natural order and notes what it leaves out.

    Args:
        root: the folder; nothing outside it is ever read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: list[LeftOut] = []
        self._real_root = os.path.realpath(root)

    def entries(self, name: str = "") -> tuple[list[str], list[str]]:
        """(folders, files) directly in the folder `name`, relative to the root, each sorted.

        Raises:
            DataError: when the folder cannot be listed.
        """
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(self.root / name) as listed:
                entries = sorted(listed, key=lambda entry: natural_key(entry.name))
        except OSError as error:
            raise DataError(f"the folder '{self.root / name}' cannot be listed: {error.strerror}") from None
        for entry in entries:
            path = f"{name}/{entry.name}" if name else entry.name
            if self._is_passed_over(entry, path):
                continue
            (folders if entry.is_dir() else files).append(path)
        return folders, files

    def images(self, name: str) -> Iterator[str]:
        """The files with an image ending in the folder `name` and below it."""
        folders, files = self.entries(name)
        for file in files:
            if has_image_ending(file):
                yield file
            else:
                self.leave_out(file, "other file", f"does not end in {', '.join(IMAGE_ENDINGS)}")
        for folder in folders:
            yield from self.images(folder)

    def leave_out(self, name: str, kind: str, reason: str) -> None:
        self.left_out.append(LeftOut(name, kind, reason))

    def _is_passed_over(self, entry: os.DirEntry[str], path: str) -> bool:
        if entry.name.casefold() in _SYSTEM_NAMES:
            self.leave_out(path, "system", "belongs to the operating system or an archive program")
        elif entry.name.startswith(".") or _is_hidden_on_windows(entry):
            self.leave_out(path, "hidden", "is hidden")
        elif entry.is_symlink() or (entry.is_dir() and os.path.realpath(entry.path) != self._expected(path)):
            # The second half is a Windows junction: a link that does not say that it is one.
            return self._is_refused_link(entry, path)
        elif not entry.is_dir() and not entry.is_file():
            self.leave_out(path, "other file", "is no regular file")
        else:
            return False
        return True

    def _expected(self, path: str) -> str:
        return os.path.join(self._real_root, *path.split("/"))

    def _is_refused_link(self, entry: os.DirEntry[str], path: str) -> bool:
        target = os.path.realpath(entry.path)
        if not os.path.exists(target):
            self.leave_out(path, "unreadable", "is a link to nothing")
        elif not is_within(target, self._real_root):
            self.leave_out(path, "link out", f"is a link out of the folder, to {target}")
        elif os.path.isdir(target):
            self.leave_out(path, "link", "is a link to a folder inside, whose images would count twice")
        else:
            return False
        return True


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sorting key that puts '2' before '10' and 'cat' beside 'Cat'; no two names share one."""
    parts = re.split(r"([0-9]+)", name)
    key = [(0, int(part), "") if number % 2 else (1, 0, part.casefold()) for number, part in enumerate(parts)]
    return key, name


def class_name(text: str) -> str:
    """A class's name in one spelling: macOS stores 'é' as two characters where other systems have one."""
    return unicodedata.normalize("NFC", text.strip())


def has_image_ending(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS)


def is_within(path: str, folder: str) -> bool:
    """Whether the real path `path` is `folder` or lies in it."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_hidden_on_windows(entry: os.DirEntry[str]) -> bool:
    if os.name != "nt":
        return False
    return bool(getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0) & _WINDOWS_HIDDEN)
