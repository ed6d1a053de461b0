"""What a person sees while a net trains: a bar on a terminal, a plain line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

import keras


def progress_callback(
    num_images: int, num_epochs: int, *, quiet: bool, deadline: float | None = None
) -> keras.callbacks.Callback | None:
    """The callback that fits where standard error goes: a bar, plain lines, or None when quiet.

    Args:
        num_images: of an epoch.
        num_epochs: until the end; not looked at where there is a deadline.
        quiet: whether to show nothing.
        deadline: when a training by the clock ends, on the clock of `time.perf_counter`, seconds.
    """
    if quiet:
        return None
    return (Bar if sys.stderr.isatty() else Lines)(num_images, num_epochs, deadline)


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
    """One line an epoch on standard error, for logs and consoles without cursor movement."""

    def __init__(self, num_images: int, num_epochs: int, deadline: float | None = None) -> None:
        super().__init__()
        self.num_images, self.num_epochs, self.deadline = num_images, num_epochs, deadline
        self.epochs_seen = 0

    def name(self, epoch: int) -> str:
        """Of the epoch that Keras calls `epoch`; how many there will be is not known where the clock ends them."""
        return f"epoch {epoch + 1}" + ("" if self.deadline else f"/{self.num_epochs}")

    def on_train_begin(self, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch_started = time.perf_counter()
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = time.perf_counter()
        self.epochs_seen += 1
        rate = self.num_images / (now - self.epoch_started)
        if self.deadline is None:
            left = (now - self.started) / self.epochs_seen * (self.num_epochs - epoch - 1)
        else:
            left = max(0.0, self.deadline - now)
        print(
            f"{self.name(epoch)}  {describe(logs or {})}  learning_rate {self.learning_rate:.3g}"
            f"  {rate:,.0f} images/s  {clock(left)} left",
            file=sys.stderr,
            flush=True,
        )


class Bar(Lines):
    """A bar within the epoch, with what `Lines` prints above it at each epoch's end."""

    def on_train_begin(self, logs: Any = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().on_train_begin(logs)
        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn(),
            console=console, transient=True,
        )  # fmt: skip
        total = self.num_epochs * self.num_images if self.deadline is None else self.deadline - self.started
        self.task = self.progress.add_task("", total=total, figures="")
        self.progress.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self.epoch = epoch
        self.progress.update(self.task, description=self.name(epoch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done = min((batch + 1) / (self.params["steps"] or batch + 1), 1.0) * self.num_images
        now = time.perf_counter()
        rate = done / (now - self.epoch_started)
        self.progress.update(
            self.task,
            completed=self.epoch * self.num_images + done if self.deadline is None else now - self.started,
            figures=f"{describe(logs or {})}  {rate:,.0f} images/s",
        )

    def on_train_end(self, logs: Any = None) -> None:
        self.close()

    def close(self) -> None:
        """Takes the bar off the terminal; harmless when called twice."""
        if hasattr(self, "progress"):
            self.progress.stop()
