"""The live page as a whole: open from the command's first moment to its last, over one training or several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinysight.data.validation import TrainingSplit
from tinysight.errors import TinysightError
from tinysight.files import read_json
from tinysight.images import spread_evenly
from tinysight.live.record import Record
from tinysight.live.server import LiveServer
from tinysight.recipe import Recipe
from tinysight.runs import Run

if TYPE_CHECKING:
    from tinysight.live.watcher import Watcher

NUM_SAMPLES = 8
# Where the validation images come from -> what is said of the samples.
SAMPLES = {
    "train": "Validation images, held out of the training split.",
    "validation": "Images of the validation split.",
    "test": "Images of the test split, on which this recipe validates.",
    "none": "Training images, which the net learns from: nothing is held out.",
}


class LivePage:
    """A page on loopback that follows trainings until it is closed.

    Args:
        port: where; 0 for any that is free.

    Raises:
        InvalidValueError: when the port cannot be had.
    """

    def __init__(self, port: int = 0) -> None:
        self.record = Record(
            phase="starting", title="Training", subtitle="", status="Loading the data and building the net.",
            metric="accuracy", epoch=0, num_epochs=0, progress=0.0, seconds=0.0, seconds_left=None, learning_rate=None,
            now={}, points={"epoch": []}, history=[], samples=None, report=None,
        )  # fmt: skip
        self._server = LiveServer(self.record, port)

    @property
    def url(self) -> str:
        """Where to open it."""
        return self._server.url

    def __enter__(self) -> LivePage:
        return self

    def __exit__(self, *_: object) -> None:
        if self.record.value("phase") in ("starting", "training"):
            self.record.update(phase="failed", status="The training ended before it began; the terminal says why.")
        elif self.record.value("phase") == "between":
            self.record.update(phase="finished")
        self._server.close()

    @contextlib.contextmanager
    def follow(self, run: Run, recipe: Recipe, split: TrainingSplit) -> Iterator[Watcher]:
        """Shows one training from here to its end; gives the Keras callback that tells of it."""
        from tinysight.live.watcher import Watcher

        samples, numbers = _samples(split)
        self.record.update(
            phase="training", title=f"{recipe.name} on {recipe.data}", subtitle=f"{run.folder}, seed {recipe.seed}",
            status="Training begins.", metric=recipe.metric, samples=None, report=None, points={"epoch": []},
            history=[], now={}, progress=0.0, seconds=0.0, seconds_left=None,
        )  # fmt: skip
        try:
            yield Watcher(
                self.record, run, metric=recipe.metric, num_epochs=recipe.epochs, samples=samples, numbers=numbers,
                words=SAMPLES[split.validation_source],
            )  # fmt: skip
        except TinysightError as error:
            self.record.update(phase="failed", status=f"The training stopped: {error}.")
            raise
        except BaseException:
            self.record.update(phase="failed", status="The training stopped; the terminal says why.")
            raise
        self.record.update(**_end(run))


def _samples(split: TrainingSplit) -> tuple[Any, Any]:
    """A few images, spread over what is validated on (or learned from), and their positions there."""
    images, places = split.images, split.train_indices
    if split.validation is not None:
        images, places = split.validation, np.arange(len(split.validation))
    chosen = places[spread_evenly(len(places), NUM_SAMPLES)]
    return images.take(chosen), chosen


def _end(run: Run) -> dict[str, Any]:
    """The last news of a training: another one may follow it."""
    summary = read_json(run.finished_marker)
    low, high = summary["test_accuracy_interval"]
    how = f"interrupted after epoch {summary['epochs']}" if summary["interrupted"] else "finished"
    return {
        "phase": "between",
        "status": (
            f"The training is {how}: test accuracy {summary['test_accuracy']:.1%}"
            f" (95 % interval {low:.1%} to {high:.1%}, n = {summary['num_test']:,})."
        ),
        "seconds_left": 0.0,
        **({} if summary["interrupted"] else {"progress": 1.0}),
        "report": str(run.report.resolve()) if run.report.is_file() else None,
    }
