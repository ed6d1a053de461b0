"""Peak memory of a training on CIFAR-10, report included, beside the same in plain Keras."""

from __future__ import annotations

from typing import Any

from tinysight.benchmarks.bench import Bench
from tinysight.benchmarks.measure import Outcome
from tinysight.benchmarks.spread import gigabytes, peak

# Recipe -> the same in plain Keras, where there is such a thing.
TRAINED = {"tensorflow": "tensorflow_cnn.py", "leaky-adamax": "leaky_adamax.py", "quick": None}
DATA = "cifar10"
GOAL_BYTES = 1.0e9


def take(bench: Bench) -> Outcome:
    """One epoch of each, a whole process each time; the largest peak of all rounds counts."""
    archive = bench.archive(DATA)
    figures: dict[str, Any] = {}
    for recipe, script in TRAINED.items():
        peaks: dict[str, list[int | None]] = {"tinysight": [], "plain": []}
        for seed in range(bench.rounds):
            peaks["tinysight"].append(bench.train(recipe, DATA, seed, epochs=1, report=True)[1].peak_bytes)
            if script is not None:
                peaks["plain"].append(bench.plain(script, archive, seed, 1).peak_bytes)
        figures[recipe] = {
            "tinysight": peak(peaks["tinysight"]),
            "plain": peak(peaks["plain"]) if peaks["plain"] else None,
            "tinysight_values": peaks["tinysight"],
            "plain_values": peaks["plain"],
        }
        bench.say(f"{recipe}: {gigabytes(figures[recipe]['tinysight'])}")
    largest = peak([figure["tinysight"] for figure in figures.values()])
    return Outcome(
        figures=figures,
        measured=f"at most {gigabytes(largest)}",
        is_met=None if largest is None else largest <= GOAL_BYTES,
        lines=_lines(figures),
    )


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = ["| recipe | plain Keras | tinysight |", "| --- | ---: | ---: |"]
    for name, figure in figures.items():
        plain = gigabytes(figure["plain"]) if figure["plain_values"] else "-"
        lines.append(f"| `{name}` | {plain} | {gigabytes(figure['tinysight'])} |")
    what = "Resident at the peak, one epoch and the report; another process of 0.1 GB draws the plots."
    return [*lines, "", f"{what} 1 GB is 10^9 bytes."]
