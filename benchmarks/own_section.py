"""A section of docs/benchmarks.md between marks of its own, so that a program can write it anew."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from pathlib import Path

from tinysight.files import write_text

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def put_section(name: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Replaces the section called `name`, or adds it at the page's end.

    Args:
        name: in the marks, which nobody sees.
        lines: Markdown, its heading first; where it was measured is added.
        page: the file.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    section = "\n".join([begin, *lines, "", f"Measured {measured_on()}.", end])
    text = page.read_text(encoding="utf-8") if page.is_file() else "# Benchmarks\n"
    if begin in text:
        text = re.sub(f"{begin}.*?{end}", lambda _: section, text, flags=re.DOTALL)
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    write_text(page, text)


def measured_on() -> str:
    """Processor and version, in words."""
    from tinysight.training.backend import processor

    return f"with Python {platform.python_version()} on {processor()}"
