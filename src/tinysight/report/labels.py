"""Class names as they fit a picture: short enough, and of characters that a font on this machine can draw."""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

MAX_LENGTH = 22
DEFAULT_FAMILY = "DejaVu Sans"
# Fonts of wide coverage that systems bring, tried in this order after matplotlib's own.
WIDE_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans",
    "Arial Unicode MS",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
)


def shorten(name: str, max_length: int = MAX_LENGTH) -> str:
    """The name, or its beginning and end: names of one family often differ only at their ends."""
    if len(name) <= max_length:
        return name
    head = max_length // 2
    return f"{name[:head]}…{name[len(name) - (max_length - 1 - head) :]}"


def text_width(text: str) -> float:
    """About how wide a text is, in font sizes: letters of the far East are twice as wide as others."""
    return sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.55 for c in text)


class PlotFont:
    """The fonts of a picture: `families` for matplotlib, and which names they can draw."""

    def __init__(self) -> None:
        self.families = list(_installed_families())

    def drawable(self, name: str, index: int, kind: str = "class") -> str:
        """The name, or "class 7" for one with characters that no font here has; control characters become spaces.

        Args:
            name: of a class, a file or a layer.
            index: its number.
            kind: what it is called with its number.
        """
        clean = " ".join("".join(c if c.isprintable() else " " for c in name).split())
        known = set().union(*(_characters(family) for family in self.families))
        return clean if clean and {ord(c) for c in clean} <= known else f"{kind} {index}"


@functools.cache
def _installed_families() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return (DEFAULT_FAMILY, *(family for family in WIDE_FAMILIES if family in installed))


@functools.cache
def _characters(family: str) -> frozenset[int]:
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    font: Any = FT2Font(findfont(family))
    return frozenset(font.get_charmap())
