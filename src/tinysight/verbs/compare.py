"""Puts runs side by side: figures, what differs, and whether the difference is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinysight.errors import InvalidValueError
from tinysight.files import write_text
from tinysight.runs import open_run

if TYPE_CHECKING:
    from tinysight.report.comparison import SideBySide

DEFAULT_PAGE = "comparison.html"
# What marks a page as ours to overwrite.
_MARK = '<meta name="generator" content="tinysight compare">'


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What was found, and the page that shows it."""

    sides: SideBySide
    page: Path


def compare(paths: Sequence[str | Path], *, output: str | Path = DEFAULT_PAGE) -> Compared:
    """Compares finished runs on the same test images and writes a page.

    Args:
        paths: the runs' folders, two or more.
        output: the page, an .html file; an earlier comparison is replaced.

    Returns:
        The runs' figures with their differences, and the page.

    Raises:
        InvalidValueError: when there are fewer than two runs, or `output` is another person's file.
        RunError: when one is no finished run.
        DataError: when they were tested on different images.
    """
    from tinysight.report.comparison import side_by_side
    from tinysight.report.render import render

    page = Path(output)
    _check_free(page)
    sides = side_by_side([open_run(path) for path in paths])
    names = [column.name for column in sides.columns]
    write_text(page, render("compare.html", data=sides.to_dict(), sides=sides, names=names))
    return Compared(sides=sides, page=page)


def _check_free(page: Path) -> None:
    if page.suffix.lower() not in (".html", ".htm"):
        raise InvalidValueError(f"'{page}' does not end in .html, which the comparison is written as")
    if page.is_dir() or (page.exists() and _MARK not in page.read_text(encoding="utf-8", errors="replace")[:2000]):
        raise InvalidValueError(f"'{page}' exists and is no comparison of ours: name another file with --output")
