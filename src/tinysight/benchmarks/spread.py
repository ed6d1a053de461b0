"""A few values as one record, and in words: the median, and from where to where they go."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def spread(values: Sequence[float]) -> dict[str, Any]:
    """median, mean, min, max and the values in their order, as JSON values."""
    return {
        "median": statistics.median(values),
        "mean": statistics.fmean(values),
        "min": min(values),
        "max": max(values),
        "values": list(values),
    }


def in_words(figures: Mapping[str, Any], form: str, middle: str = "median") -> str:
    """As in "12.3 s (12.1 to 12.9)".

    Args:
        figures: as `spread` gives them.
        form: of a value, as in "{:.1f} s".
        middle: "median" or "mean".
    """
    low, high = (form.format(figures[end]) for end in ("min", "max"))
    return f"{form.format(figures[middle])} ({low} to {high})"


def peak(sizes: Sequence[int | None]) -> int | None:
    """The largest of some peaks, bytes; None where one of them is not known."""
    known = [size for size in sizes if size is not None]
    return max(known) if len(known) == len(sizes) else None


def gigabytes(size: int | None) -> str:
    return "not told" if size is None else f"{size / 1e9:.2f} GB"
