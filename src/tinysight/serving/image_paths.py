"""Which image files a person means: paths, folders, patterns, `-` for standard input."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tinysight.errors import ImageError
from tinysight.pixels import IMAGE_ENDINGS

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Found:
    """One thing to classify, or why there is nothing.

    Attributes:
        path: the file as a person would name it, `-` for standard input, or the argument that gave nothing.
        error: why it gave nothing, or None.
    """

    path: str
    error: str | None = None


def find_images(arguments: Iterable[str | Path]) -> list[Found]:
    """The images that the arguments name, in the order of the arguments.

    Args:
        arguments: a path is taken as it is, whatever its ending; a folder gives the files with an image ending in it
            and below, in natural order, hidden ones skipped; a pattern with `*`, `?`, `[...]` or `**` gives what a
            shell would, so that quoting it, or a shell that expands nothing, changes nothing (`**` gives files alone);
            `-` is standard input.

    Raises:
        ImageError: when nothing at all was found.
    """
    found = [item for argument in arguments for item in _expand(str(argument))]
    failures = [item for item in found if item.error]
    if len(failures) == len(found):
        details = "; ".join(f"{item.path}: {item.error}" for item in failures)
        raise ImageError(f"no image found ({details or 'no path given'}); name image files, folders or patterns")
    return found


def _expand(argument: str) -> Iterator[Found]:
    if argument == STANDARD_INPUT:
        yield Found(argument)
    elif os.path.isdir(argument):
        yield from _in_folder(argument)
    elif glob.has_magic(argument) and not os.path.lexists(argument):
        yield from _matching(argument)
    else:
        yield Found(argument)


def _in_folder(folder: str) -> Iterator[Found]:
    files = list(_walk(folder))
    yield from files or [Found(folder, f"no file in it ends in {', '.join(IMAGE_ENDINGS)}")]


def _matching(pattern: str) -> Iterator[Found]:
    # `**` goes into folders itself; walking those that it names as well would give their files twice.
    folders_too = "**" not in pattern
    num_found = 0
    for match in sorted(glob.glob(pattern, recursive=True), key=natural_order):
        if not os.path.isdir(match):
            items = [Found(match)]
        elif folders_too:
            items = list(_in_folder(match))
        else:
            continue
        num_found += len(items)
        yield from items
    if not num_found:
        yield Found(pattern, "no file matches")


def _walk(folder: str) -> Iterator[Found]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural_order(entry.name))
    except OSError as error:
        yield Found(folder, f"cannot be listed: {error.strerror}")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):  # A link to a folder may lead back up.
            yield from _walk(entry.path)
        elif entry.name.lower().endswith(IMAGE_ENDINGS) and not entry.is_dir():
            yield Found(entry.path)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A sorting key that puts `img9` before `img10`, without regard to case."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), part) if number % 2 else (1, 0, part.casefold()) for number, part in enumerate(parts)]
