"""Accuracy of finished runs on the first test images, and on the others.

    python benchmarks/first_images.py --count 1000 runs/A runs/B

For a test split whose first images are better known than the rest: of CIFAR-10's, only the first 1,000 were at hand
with exact pixels where these figures were measured. Nothing is predicted anew; it reads what each training stored. Each
interval is Wilson's, at 95 %; the last lines are means over the runs, as of one recipe with several seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.benchmarks.spread import in_words, spread
from tinysight.errors import InvalidValueError, TinysightError
from tinysight.evaluation.predictions import read_predictions
from tinysight.metrics.intervals import share_figure
from tinysight.runs import open_run


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Accuracy on the first test images of runs, and on the others.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--count", type=int, default=1000, help="how many images are the first ones (1000)")
    options = parser.parse_args(words)
    try:
        table = [_row(path, options.count) for path in options.runs]
    except TinysightError as error:
        print(f"first_images: {error}", file=sys.stderr)
        return 2
    for title, column in (("first", [first for first, _ in table]), ("others", [others for _, others in table])):
        print(f"{title}: mean {in_words(spread(column), '{:.2%}', 'mean')}")
    return 0


def _row(path: Path, count: int) -> tuple[float, float]:
    test = read_predictions(open_run(path).predictions)["test"]
    right = test.probabilities.argmax(axis=1) == test.labels
    if not 0 < count < len(right):
        raise InvalidValueError(
            f"--count is {count}; {path} has {len(right)} test images, so expected 1 to {len(right) - 1}"
        )
    print(f"{path}: first {_share(right[:count])}; others {_share(right[count:])}; all {_share(right)}")
    return float(right[:count].mean()), float(right[count:].mean())


def _share(right: NDArray[np.bool_]) -> str:
    figure = share_figure("accuracy", int(right.sum()), len(right))
    return f"{figure.value:.2%} ({figure.low:.2%} to {figure.high:.2%}, n = {figure.n:,})"


if __name__ == "__main__":
    sys.exit(main())
