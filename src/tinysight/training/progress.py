"""What a person sees while a net trains: a bar on a terminal, a plain line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras

from tinysight.training.feed import Feed


def progress_callback(
    feed: Feed, num_steps: int, *, quiet: bool, deadline: float | None = None
) -> keras.callbacks.Callback | None:
    """The callback that fits where standard error goes: a bar, plain lines, or None when quiet.

    Args:
        feed: what is trained on, and where in its epoch each call of Keras's `fit` begins.
        num_steps: of the whole training; not looked at where there is a deadline.
        quiet: whether to show nothing.
        deadline: when a training by the clock ends, on the clock of `time.perf_counter`, seconds.
    """
    if quiet:
        return None
    return (Bar if sys.stderr.isatty() else Lines)(feed, num_steps, deadline)


def describe(logs: dict[str, Any]) -> str:
    """Loss and metrics in Keras's order and words."""
    return "  ".join(f"{name} {float(value):.4f}" for name, value in logs.items())


def clock(seconds: float) -> str:
    """A duration for people: 8 s, 1:05, 2:03:04."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Lines(keras.callbacks.Callback):
    """One line an epoch on standard error, for logs and consoles without cursor movement.

    Images a second are those of training; the validation that ends an epoch is not in them.
    """

    def __init__(self, feed: Feed, num_steps: int, deadline: float | None = None) -> None:
        super().__init__()
        self.feed, self.num_steps, self.deadline = feed, num_steps, deadline
        self.started: float | None = None
        self.steps_seen = 0

    def name(self, epoch: int) -> str:
        """Of the epoch that Keras calls `epoch`; how many there will be is not known where the clock ends them."""
        return f"epoch {epoch + 1}" + ("" if self.deadline else f"/{-(-self.num_steps // self.feed.num_steps)}")

    def on_train_begin(self, logs: Any = None) -> None:
        # A training whose last epoch is a part of one, or that is resumed within one, is fitted in two goes.
        if self.started is None:
            self.started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch_started = self.looked = time.perf_counter()
        self.epoch, self.epoch_steps = epoch, 0
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.looked = time.perf_counter()
        # Keras names the last step of an execution even where the epoch ended within it.
        done = min(batch + 1, self.params["steps"] or batch + 1)
        self.steps_seen += done - self.epoch_steps
        self.epoch_steps = done

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        print(
            f"{self.name(epoch)}  {describe(logs or {})}  learning_rate {self.learning_rate:.3g}"
            f"  {self.rate():,.0f} images/s  {clock(self.seconds_left(time.perf_counter()))} left",
            file=sys.stderr,
            flush=True,
        )

    def rate(self) -> float:
        """Images a second since the epoch, or what was left of it, began."""
        first, end = (steps * self.feed.batch_size for steps in (self.feed.skip, self.feed.skip + self.epoch_steps))
        return (min(end, self.feed.num_images) - first) / max(self.looked - self.epoch_started, 1e-9)

    def steps_done(self) -> int:
        """Of the whole training, those before it was resumed included."""
        return self.epoch * self.feed.num_steps + self.feed.skip + self.epoch_steps

    def seconds_left(self, now: float) -> float:
        """Until the end, at the pace so far."""
        if self.deadline is not None:
            return max(0.0, self.deadline - now)
        assert self.started is not None
        return (now - self.started) / max(self.steps_seen, 1) * (self.num_steps - self.steps_done())


class Bar(Lines):
    """A bar within the epoch, with what `Lines` prints above it at each epoch's end."""

    def on_train_begin(self, logs: Any = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().on_train_begin(logs)
        self.close()
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn(),
            console=console, transient=True,
        )  # fmt: skip
        assert self.started is not None
        total = self.num_steps if self.deadline is None else self.deadline - self.started
        self.task = self.progress.add_task("", total=total, figures="")
        self.progress.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self.progress.update(self.task, description=self.name(epoch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, logs)
        assert self.started is not None
        self.progress.update(
            self.task,
            completed=self.steps_done() if self.deadline is None else self.looked - self.started,
            figures=f"{describe(logs or {})}  {self.rate():,.0f} images/s",
        )

    def on_train_end(self, logs: Any = None) -> None:
        self.close()

    def close(self) -> None:
        """Takes the bar off the terminal; harmless when called twice."""
        if hasattr(self, "progress"):
            self.progress.stop()
