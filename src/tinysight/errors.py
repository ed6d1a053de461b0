"""What a person can do wrong, as one small tree.

TinysightError               exit status 2, one line: what came, what was expected, what to do
├── UnknownNameError         a recipe, data set, field or command that does not exist; names the closest one
├── InvalidValueError        a value of the wrong type or outside its range
├── DataError                a data set or an image that is missing, damaged or not what was asked for
│   ├── DataUnavailableError     a named data set is neither on disk nor to be downloaded
│   └── ImageError               one image file that cannot be read
├── ModelError               a model that cannot be built, loaded, trained or exported
├── RunError                 a run folder that is missing, unfinished or in the way
├── DiskFullError            a file that did not fit on its disk
└── TrainingStoppedError     training that went wrong: NaN, infinity, a full disk
    └── TrainingInterruptedError exit status 130: Ctrl-C before there was anything to keep

A bug is none of these: it crashes with a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class TinysightError(Exception):
    """An expected error: its text is one line for a person, `exit_status` what the command ends with."""

    exit_status = 2


class UnknownNameError(TinysightError):
    """A name that is in no list, with the closest one that is.

    Args:
        kind: what was named, as in "recipe".
        name: what came.
        choices: every name that would have been accepted.
    """

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        self.kind, self.name, self.choices = kind, name, sorted(choices)
        close = difflib.get_close_matches(name, self.choices, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"choose from: {', '.join(self.choices)}"
        super().__init__(f"unknown {kind} '{name}': {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        """From another process it comes as it was; Python itself would make it of its text alone."""
        return type(self), (self.kind, self.name, self.choices)


class InvalidValueError(TinysightError):
    """A value of the wrong type or outside its range."""


class DataError(TinysightError):
    """Data that is missing, damaged or not what was asked for."""


class DataUnavailableError(DataError):
    """A named data set that is neither on disk nor to be downloaded."""


class ImageError(DataError):
    """An image file that cannot be read; the text names the file."""


class ModelError(TinysightError):
    """A model that cannot be built, loaded, trained or exported."""


class RunError(TinysightError):
    """A run folder that is missing, unfinished or in the way."""


class DiskFullError(TinysightError):
    """A file that did not fit on its disk, or into what its owner may use of it."""


class TrainingStoppedError(TinysightError):
    """Training that cannot go on: a NaN or infinite loss, a full disk."""


class TrainingInterruptedError(TrainingStoppedError):
    """Ctrl-C before the first epoch was whole."""

    exit_status = 130  # 128 + SIGINT, as shells count
