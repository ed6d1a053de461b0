"""Numbers as a page prints them."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "–"
# Between a number and its unit, so that no line ends between them.
GAP = "\N{NO-BREAK SPACE}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent: 0.7134 is "71.3 %" with a gap that does not break."""
    return MISSING if value is None else f"{100 * value:.{digits}f}{GAP}%"


def score(value: float) -> str:
    """A probability in percent: near 0 and 1 with a digit more, and never rounded to certainty."""
    if value > 0.9995:
        return f">99.9{GAP}%"
    if value < 0.0005:
        return f"<0.1{GAP}%"
    return percent(value, 0 if 0.0145 < value < 0.9855 else 1)


def number(value: float | None, digits: int = 3) -> str:
    return MISSING if value is None else f"{value:,.{digits}f}"


def points(difference: float) -> str:
    """A difference of two fractions in percentage points: -0.021 is "2.1 points"."""
    return f"{abs(100 * difference):.1f} points"


def count(value: float | None) -> str:
    """A whole number with separators: 10000 is "10,000"."""
    return MISSING if value is None else f"{value:,.0f}"


def counted(value: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 image", "2,000 images"."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: "6.4 s", "3 min 20 s", "2 h 05 min"."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f}{GAP}s"
    if round(seconds) < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def size(num_bytes: float | None) -> str:
    """Bytes in the unit that fits: "416 kB", "1.2 MB"."""
    if num_bytes is None:
        return MISSING
    for unit in ("B", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.{int(unit == 'MB')}f}{GAP}{unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f}{GAP}GB"


def spoken(name: str) -> str:
    """A name as code has it, for people: "gaussian_noise" is "Gaussian noise"."""
    return name.replace("_", " ").replace("gaussian", "Gaussian").replace("jpeg", "JPEG compression")


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def short_number(value: float) -> str:
    """A number on an axis: as many digits as it needs, at most four of them; 0.00075 is "7.5e-4"."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) < 0.001:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
