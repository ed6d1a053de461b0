"""Student's t and the binomial distribution of a fair coin, exactly, without SciPy.

Both are the regularised incomplete beta function: DLMF 8.17, https://dlmf.nist.gov/8.17.
"""

from __future__ import annotations

import math

from tinysight.errors import InvalidValueError
from tinysight.metrics.figures import check_level

# Lentz's method replaces a zero denominator by this, far below every term that matters.
TINY = 1e-300


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), relative error about 1e-12 for a and b to some thousands.

    Args:
        a: above 0.
        b: above 0.
        x: from 0 to 1.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    # The fraction converges fast left of the mean; right of it the other tail is computed.
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    log_front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(log_front) / a / _continued_fraction(a, b, x)


def _continued_fraction(a: float, b: float, x: float) -> float:
    """DLMF 8.17.22 by the modified Lentz method: 1 + d1 / (1 + d2 / (1 + ...))."""
    value, upper, lower = 1.0, 1.0, 0.0
    # About sqrt(max(a, b)) terms are needed; the bound is only a guard against a loop without end.
    for term in range(1, 100_000):
        half = term // 2
        if term % 2:
            d = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            d = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        lower = 1 / _not_zero(1 + d * lower)
        upper = _not_zero(1 + d / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def student_two_sided(t: float, degrees: float) -> float:
    """The chance that Student's t with `degrees` degrees of freedom is as far from 0 as `t`: the two-sided p value."""
    if math.isinf(t):
        return 0.0
    return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t))


def student_quantile(level: float, degrees: float) -> float:
    """The t that has `level` of Student's distribution between -t and t: 12.706 for 0.95 and one degree of freedom.

    Args:
        level: between 0 and 1.
        degrees: degrees of freedom, above 0, whole or not (Welch's are not).

    Raises:
        InvalidValueError: when either is out of range.
    """
    tail = 1 - check_level(level)
    if not degrees > 0:
        raise InvalidValueError(f"{degrees} degrees of freedom; expected more than 0")
    low, high = 0.0, 1.0
    while student_two_sided(high, degrees) > tail:
        low, high = high, high * 2
    # Bisection to the last bit: about 60 steps, a microsecond each, and no derivative to go wrong.
    while low < (middle := (low + high) / 2) < high:
        if student_two_sided(middle, degrees) > tail:
            low = middle
        else:
            high = middle
    return high


def coin_at_most(heads: int, tosses: int) -> float:
    """The chance of at most `heads` heads in `tosses` tosses of a fair coin."""
    if heads < 0:
        return 0.0
    return 1.0 if heads >= tosses else incomplete_beta(tosses - heads, heads + 1, 0.5)


def coin_exactly(heads: int, tosses: int) -> float:
    """The chance of exactly `heads` heads in `tosses` tosses of a fair coin."""
    log_ways = math.lgamma(tosses + 1) - math.lgamma(heads + 1) - math.lgamma(tosses - heads + 1)
    return math.exp(log_ways - tosses * math.log(2))
