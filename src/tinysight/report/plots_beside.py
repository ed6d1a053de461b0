"""The plots of a run, drawn by a second process: `python -m tinysight.report.plots_beside`.

Importing matplotlib and drawing takes about two seconds of one core; the conversion to ONNX, which goes on meanwhile,
takes one core, too.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from tinysight.cores import num_cores
from tinysight.evaluation.predictions import Predictions
from tinysight.images import ImageSet
from tinysight.report.plots import answers, confusion_of, samples_of, write_curves, write_plots
from tinysight.runs import Run

# Of what is not wanted any more, seconds.
PATIENCE = 10
Draw = Callable[[ImageSet, Predictions], None]


@contextlib.contextmanager
def plots_beside(run: Run, metric: str) -> Iterator[Draw]:
    """Begins to draw the plots of a run, whose history and data description are written.

    They are drawn in this process where matplotlib is imported already or there is one core, and where the other
    process fails, so that whoever asked for them learns why.

    Args:
        run: whose plots folder they go into.
        metric: the history's name of what was followed beside the loss.

    Yields:
        A function that is called once, with the test images and predictions of these. The plots are there when the
        context ends.
    """
    process = None if _is_better_here() else _start(run, metric)
    if process is None or process.stdin is None:
        yield lambda test, predictions: write_plots(run, test, predictions, metric=metric)
        return
    sink = process.stdin
    asked: list[tuple[ImageSet, Predictions]] = []

    def draw(test: ImageSet, predictions: Predictions) -> None:
        asked.append((test, predictions))
        _send(sink, _packed(test, predictions))

    try:
        yield draw
        for test, predictions in asked:
            if process.wait() != 0:
                write_plots(run, test, predictions, metric=metric)
    finally:
        # Where nothing was sent, it ends of itself.
        _send(sink, b"")
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_better_here() -> bool:
    return "matplotlib" in sys.modules or num_cores() == 1


def _start(run: Run, metric: str) -> subprocess.Popen[bytes] | None:
    """The other process; None where there can be none."""
    # Nothing is imported from the folder in which the command was typed.
    words = [sys.executable, "-P", "-m", __name__, str(run.folder), metric]
    nowhere = subprocess.DEVNULL
    try:
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere)
    except (OSError, TypeError, ValueError):
        # A program that has Python inside may not know where the interpreter is.
        return None


def _send(sink: IO[bytes], content: bytes) -> None:
    """Once; a process that has failed by now takes nothing, which its exit status tells."""
    with contextlib.suppress(OSError):
        if not sink.closed:
            sink.write(content)
    with contextlib.suppress(OSError):
        sink.close()


def _packed(test: ImageSet, predictions: Predictions) -> bytes:
    """What the plots show of these, as a NumPy archive."""
    content = io.BytesIO()
    shown, said = samples_of(test, predictions)
    np.savez(
        content, images=np.asarray(shown.images), labels=said.labels, probabilities=said.probabilities,
        class_names=np.array(test.class_names), confusion=confusion_of(test, predictions),
    )  # fmt: skip
    return content.getvalue()


def main(folder: str, metric: str) -> int:
    """Draws what the history shows, then what comes from standard input; nothing where nothing comes."""
    run = Run(Path(folder))
    write_curves(run, metric=metric)
    content = sys.stdin.buffer.read()
    if not content:
        return 1
    with np.load(io.BytesIO(content), allow_pickle=False) as sent:
        class_names = tuple(map(str, sent["class_names"]))
        labels = sent["labels"]
        shown = ImageSet(images=sent["images"], labels=labels, class_names=class_names)
        said = Predictions(probabilities=sent["probabilities"], labels=labels)
        confusion = sent["confusion"]
    # Nothing else is left to be done for the run by then, so that whoever waits has cores to spare.
    return _at_once(answers(run, shown, said, confusion))


def _at_once(tasks: Sequence[Callable[[], None]]) -> int:
    """Does each task in a copy of this process, where there are such; 0, or 1 where one failed."""
    if not hasattr(os, "fork"):
        for task in tasks:
            task()
        return 0
    copies = []
    for task in tasks:
        copies.append(os.fork())
        if copies[-1] == 0:
            status = 1
            try:
                task()
                status = 0
            finally:
                # Whatever it raised; the copy must not go on with what is the first one's.
                os._exit(status)
    return max(int(os.waitpid(copy, 0)[1] != 0) for copy in copies)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
