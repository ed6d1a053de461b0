"""What a measure is, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinysight.benchmarks.bench import Bench


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured.

    Attributes:
        figures: JSON values, every single one that was measured among them.
        measured: the figures that count, in a few words, for the table of all measures.
        is_met: whether the goal is reached; None where that cannot be told.
        lines: Markdown for people.
    """

    figures: dict[str, Any]
    measured: str
    is_met: bool | None
    lines: list[str]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Something that can be measured.

    Attributes:
        name: what `--measure` calls it.
        title: what is measured.
        against: what it is set against.
        goal: in words.
        take: measures.
        recipes: shipped recipes that it trains.
        data: data sets of the catalogue that it needs.
        needs_gpu: whether it is of a GPU, and not of the processor.
    """

    name: str
    title: str
    against: str
    goal: str
    take: Callable[[Bench], Outcome]
    recipes: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    needs_gpu: bool = False
