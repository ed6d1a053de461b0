"""How far a long job on a person's images is: a bar on a terminal, a line at its end elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

# Below this a job is over before a person has read about it.
_MIN_IMAGES = 5000


class Progress:
    """Shows progress on standard error while used as a context.

    Args:
        text: what is done, as in "decoding".
        num_images: how many images there are to do.
        done: how many were done earlier.
    """

    def __init__(self, text: str, num_images: int, done: int = 0) -> None:
        self._text, self._num_images, self._done, self._first = text, num_images, done, done
        self._bar: Any = None

    def __enter__(self) -> Progress:
        self._started = time.perf_counter()
        if self._num_images >= _MIN_IMAGES and sys.stderr.isatty():
            self._bar = _bar(self._text, self._num_images, self._done)
            self._bar.start()
        return self

    def advance_to(self, done: int) -> None:
        self._done = done
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None and self._num_images >= _MIN_IMAGES:
            seconds = max(time.perf_counter() - self._started, 1e-9)
            num_done = self._done - self._first
            print(
                f"{self._text}: {num_done:,} images in {seconds:.1f} s, {num_done / seconds:,.0f} a second",
                file=sys.stderr,
            )


def _bar(text: str, num_images: int, done: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    bar.add_task(text, total=num_images, completed=done)
    return bar
