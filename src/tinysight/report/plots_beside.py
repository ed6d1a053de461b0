"""The plots of a run, drawn by a second process: `python -m tinysight.report.plots_beside`.

Importing matplotlib and drawing takes about two seconds of one core; the conversion to ONNX, which goes on meanwhile,
takes one core, too. So does importing TensorFlow: a process that is begun before it has matplotlib by then.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO

import numpy as np

from tinysight.cores import num_cores
from tinysight.evaluation.predictions import Predictions
from tinysight.images import ImageSet
from tinysight.report.plots import NUM_SAMPLES, confusion_of, prepare, write_answers, write_curves, write_plots
from tinysight.runs import Run

# Of what is not wanted any more, seconds.
PATIENCE = 10
Draw = Callable[[ImageSet, Predictions], None]
_begun: ContextVar[subprocess.Popen[bytes] | None] = ContextVar("_begun", default=None)


@contextlib.contextmanager
def begun_early(wanted: bool) -> Iterator[None]:
    """Within it the other process of `plots_beside` is there already; it has matplotlib and waits, with 0.1 GB.

    Args:
        wanted: whether it is worth that memory.
    """
    process = _start() if wanted and not _is_better_here() else None
    token = _begun.set(process)
    try:
        yield
    finally:
        _begun.reset(token)
        if process is not None:
            if process.returncode is None:
                # Nothing was asked of it.
                process.kill()
                process.wait()
            _send(process.stdin, b"")


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
    process = _begun.get()
    if process is None or process.poll() is not None:
        process = None if _is_better_here() else _start()
    if process is None or process.stdin is None:
        yield lambda test, predictions: write_plots(run, test, predictions, metric=metric)
        return
    sink = process.stdin
    _send(sink, f"{json.dumps([str(run.folder.absolute()), metric])}\n".encode(), last=False)
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


def _start() -> subprocess.Popen[bytes] | None:
    """The other process; None where there can be none."""
    # Nothing is imported from the folder in which the command was typed.
    words = [sys.executable, "-P", "-m", __name__]
    nowhere = subprocess.DEVNULL
    try:
        # A Ctrl-C, after which a training keeps its last whole epoch, is not for this one; it ends with its input.
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True)
    except (OSError, TypeError, ValueError):
        # A program that has Python inside may not know where the interpreter is.
        return None


def _send(sink: IO[bytes] | None, content: bytes, *, last: bool = True) -> None:
    """A process that has failed by now takes nothing, which its exit status tells."""
    if sink is None:
        return
    with contextlib.suppress(OSError):
        if not sink.closed:
            sink.write(content)
            sink.flush()
    if last:
        with contextlib.suppress(OSError):
            sink.close()


def _packed(test: ImageSet, predictions: Predictions) -> bytes:
    """What the plots show of these, as a NumPy archive."""
    content = io.BytesIO()
    np.savez(
        content, images=np.asarray(test.images[:NUM_SAMPLES]), labels=predictions.labels[:NUM_SAMPLES],
        probabilities=predictions.probabilities[:NUM_SAMPLES], class_names=np.array(test.class_names),
        confusion=confusion_of(test, predictions),
    )  # fmt: skip
    return content.getvalue()


def main() -> int:
    """Draws what the history of a run shows, then what comes from standard input; nothing where nothing comes."""
    prepare()
    source = sys.stdin.buffer
    asked = source.readline()
    if not asked:
        return 1
    folder, metric = json.loads(asked)
    run = Run(Path(folder))
    write_curves(run, metric=metric)
    content = source.read()
    if not content:
        return 1
    with np.load(io.BytesIO(content), allow_pickle=False) as sent:
        class_names = tuple(map(str, sent["class_names"]))
        labels = sent["labels"]
        test = ImageSet(images=sent["images"], labels=labels, class_names=class_names)
        predictions = Predictions(probabilities=sent["probabilities"], labels=labels)
        write_answers(run, test, predictions, sent["confusion"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
