"""What a training saves and prints beside its run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysight.errors import InvalidValueError

if TYPE_CHECKING:
    from tinysight.cluster.engine import Cluster
    from tinysight.live.following import LivePage

Say = Callable[[str], None]
# In less, nothing is learned.
LEAST_MINUTES = 0.05


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a training saves and prints beside its run.

    Attributes:
        quiet: whether to print no progress.
        save_json: whether to save the tutorials' own pair too, architecture JSON and weights HDF5.
        report: whether to write the report page too, as far as it is quick.
        checkpoint_minutes: time between checkpoints within an epoch.
        minutes: time to train for instead of the recipe's epochs; what fits into it is chosen.
        started: when the command began, on the clock of `time.perf_counter`, seconds; of it `minutes` are counted.
        profile: whether to time the parts of a step before training.
        start: a finished run whose weights the training begins with, or None.
        callbacks: Keras callbacks of a person's own, beside those that every training has.
        tensorboard: where TensorBoard's event files go, in a folder named after the run; "" for the run folder, None
            for none.
        live: the page that follows the training, or None.
        cluster: whose workers train the net, or None for this process.
        say: takes lines for a person.

    Raises:
        InvalidValueError: for minutes that are none.
    """

    quiet: bool = False
    save_json: bool = False
    report: bool = True
    checkpoint_minutes: float = 5.0
    minutes: float | None = None
    started: float | None = None
    profile: bool = False
    start: str | Path | None = None
    callbacks: Sequence[Any] = ()
    tensorboard: str | Path | None = None
    live: LivePage | None = None
    cluster: Cluster | None = None
    say: Say = lambda text: None

    def __post_init__(self) -> None:
        if self.minutes is not None and not LEAST_MINUTES <= self.minutes < math.inf:
            raise InvalidValueError(f"minutes is {self.minutes}; expected a number from {LEAST_MINUTES} on")
        if not 0 <= self.checkpoint_minutes < math.inf:
            raise InvalidValueError(f"checkpoint_minutes is {self.checkpoint_minutes}; expected 0 or more")
