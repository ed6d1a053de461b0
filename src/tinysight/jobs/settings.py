"""What a training saves and prints beside its run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a training saves and prints beside its run.

    Attributes:
        quiet: whether to print no progress.
        save_json: whether to save the tutorials' own pair too, architecture JSON and weights HDF5.
        report: whether to write the report page too, as far as it is quick.
        checkpoint_minutes: time between checkpoints within an epoch.
        minutes: time to train for instead of the recipe's epochs; what fits into it is chosen.
        say: takes lines for a person.
    """

    quiet: bool = False
    save_json: bool = False
    report: bool = True
    checkpoint_minutes: float = 5.0
    minutes: float | None = None
    say: Say = lambda text: None
