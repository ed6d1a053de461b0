"""How near to its time a training with `--minutes` ends, and what it comes to.

    python benchmarks/minutes.py --data cifar10 --data-dir DATA [--minutes 0.25 --minutes 1 ...] [--rounds 3]

Runs `tinysight train --minutes M` as a whole process for each M, in turn for each round, and compares its wall time
with M. What each run chose is read from the recipe that it recorded. The figures go into docs/benchmarks.md: of each
round the time and the accuracy, of the last one what it chose.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from own_section import put_section

from tinysight.recipe import Recipe, load_recipe
from tinysight.runs import Run

MINUTES = (0.25, 0.5, 1.0, 2.0, 4.0)
WANTED = 0.05


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One training by the clock.

    Attributes:
        minutes: that were asked for.
        seconds: of the whole process.
        accuracy: on the test split.
        recipe: that it chose and recorded.
    """

    minutes: float
    seconds: float
    accuracy: float
    recipe: Recipe

    @property
    def off(self) -> float:
        """How much longer than asked for, as a share."""
        return self.seconds / (60 * self.minutes) - 1


def train(minutes: float, seed: int, options: argparse.Namespace, folder: Path) -> Timed:
    """Trains once, as a person would."""
    run = Run(folder / f"{minutes:g}-{seed}")
    words = [
        "train",
        "--minutes",
        minutes,
        "--data",
        options.data,
        "--seed",
        seed,
        "--out",
        run.folder,
        "--json",
    ]
    words += ["--data-dir", options.data_dir] if options.data_dir else []
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tinysight", *map(str, words)], stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    seconds = time.perf_counter() - started
    accuracy = json.loads(done.stdout)["test_accuracy"]
    return Timed(minutes=minutes, seconds=seconds, accuracy=accuracy, recipe=load_recipe(str(run.recipe)))


def section(found: list[Timed], options: argparse.Namespace) -> list[str]:
    """The lines of the page."""
    asked = dict.fromkeys(timed.minutes for timed in found)
    words = "".join(f" --minutes {minutes:g}" for minutes in asked)
    note = f" {options.note}" if options.note else ""
    lines = [
        f"## Training by the clock: {Path(options.data).name}",
        f"`python benchmarks/minutes.py --data {options.data}{words} --rounds {options.rounds}`:"
        f" `tinysight train --minutes M`, whole processes, report included. Wanted: within {WANTED:.0%}.{note}",
        "",
        "| M | beside M, median (by round) | chosen: widths, convolutions a group | steps of so many images |"
        " test accuracy, mean (by round) |",
        "| ---: | ---: | --- | ---: | ---: |",
    ]
    for minutes in asked:
        of_it = [timed for timed in found if timed.minutes == minutes]
        recipe = of_it[-1].recipe
        widths = "-".join(map(str, recipe.widths))
        lines.append(
            f"| {minutes:g} | {_in_words([timed.off for timed in of_it], '{:+.1%}', statistics.median)} |"
            f" {widths}, {recipe.group_convolutions} | {recipe.steps:,} of {recipe.batch_size} |"
            f" {_in_words([timed.accuracy for timed in of_it], '{:.2%}', statistics.fmean)} |"
        )
    return lines


def _in_words(values: list[float], form: str, middle: Callable[[list[float]], float]) -> str:
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(middle(values))} ({', '.join(form.format(value) for value in values)})"


def main() -> None:
    """Trains for each M and writes the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--minutes", type=float, action="append")
    parser.add_argument("--rounds", type=int, default=1, help="trainings of each M, of seeds 0, 1, ...")
    parser.add_argument("--note", default="", help="a sentence for the page, as which test images these are")
    parser.add_argument("--print", action="store_true", help="print the section instead of writing it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for seed in range(options.rounds):
            for minutes in options.minutes or MINUTES:
                found.append(train(minutes, seed, options, Path(folder)))
                print(f"{minutes:g} min: {found[-1].seconds:.1f} s, {found[-1].off:+.1%}", file=sys.stderr)
    lines = section(found, options)
    if options.print:
        print("\n".join(lines))
    else:
        put_section(f"minutes {Path(options.data).name}", lines)


if __name__ == "__main__":
    main()
