"""Images a second of the same training, ours and plain Keras's `fit`: net, batch and numbers are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinysight.benchmarks.bench import Bench
from tinysight.benchmarks.measure import Outcome
from tinysight.benchmarks.spread import in_words, spread
from tinysight.errors import ModelError
from tinysight.files import read_json
from tinysight.training.history import read_history

# Recipe -> the same in plain Keras, its batch size, and how many times faster ours has to be.
NETS = {"tensorflow": ("tensorflow_cnn.py", 32, 1.3), "leaky-adamax": ("leaky_adamax.py", 64, 1.0)}
DATA = "cifar10"
# A rate does not depend on how many images an epoch has: enough for half a minute of the larger net.
NUM_IMAGES = 15_000
# The first one is left out: it holds compilation.
EPOCHS = 3


def take(bench: Bench) -> Outcome:
    """Trains each for a few epochs without validation, in turn, and looks at the epochs after the first."""
    figures = {}
    for recipe, (script, batch_size, goal) in NETS.items():
        sides: dict[str, list[float]] = {"plain": [], "tinysight": []}
        parameters: dict[str, int] = {}
        for seed in range(bench.rounds):
            order = list(sides) if seed % 2 == 0 else list(sides)[::-1]
            for side in order:
                rate, parameters[side] = _plain(bench, script, seed) if side == "plain" else _ours(bench, recipe, seed)
                sides[side].append(rate)
                bench.say(f"round {seed + 1} of {bench.rounds}: {recipe}, {side}: {rate:,.0f} images/s")
        if parameters["plain"] != parameters["tinysight"]:
            raise ModelError(f"{recipe} and {script} are not the same net: {parameters}")
        figures[recipe] = _figures(sides, batch_size, goal)
    is_met = all(figure["ratio"] >= figure["goal"] for figure in figures.values())
    measured = "; ".join(f"{name} {figure['ratio']:.2f} times" for name, figure in figures.items())
    return Outcome(figures=figures, measured=measured, is_met=is_met, lines=_lines(figures))


def _figures(sides: dict[str, list[float]], batch_size: int, goal: float) -> dict[str, Any]:
    plain, ours = spread(sides["plain"]), spread(sides["tinysight"])
    return {
        "batch_size": batch_size,
        "plain": plain,
        "tinysight": ours,
        "ratio": ours["median"] / plain["median"],
        "ratios": [one / other for one, other in zip(ours["values"], plain["values"], strict=True)],
        "goal": goal,
    }


def _plain(bench: Bench, script: str, seed: int) -> tuple[float, int]:
    archive = bench.archive(DATA, NUM_IMAGES)
    with np.load(archive, allow_pickle=False) as arrays:
        num_images = len(arrays["y_train"])
    result = bench.plain(script, archive, seed, 2 if bench.rehearse else EPOCHS).last_line()
    return num_images / _after_first(result["epoch_seconds"]), result["parameters"]


def _ours(bench: Bench, recipe: str, seed: int) -> tuple[float, int]:
    run, done = bench.train(recipe, bench.archive(DATA, NUM_IMAGES), seed, epochs=EPOCHS, validation="none")
    # The history counts seconds from the start of training.
    ends = [row["seconds"] for row in read_history(run.history)]
    num_images: int = read_json(run.data)["num_train"]
    return num_images / _after_first(np.diff(ends, prepend=0.0).tolist()), done.value()["parameters"]


def _after_first(epoch_seconds: Sequence[float]) -> float:
    return float(np.median(epoch_seconds[1:]))


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [
        "| recipe | batch | plain Keras `fit` | tinysight | ratio (by round) | goal |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, figure in figures.items():
        rounds = ", ".join(f"{ratio:.2f}" for ratio in figure["ratios"])
        lines.append(
            f"| `{name}` | {figure['batch_size']} | {in_words(figure['plain'], '{:,.0f}')} |"
            f" {in_words(figure['tinysight'], '{:,.0f}')} | {figure['ratio']:.2f} ({rounds}) | {figure['goal']:g} |"
        )
    return [
        *lines,
        "",
        f"Images/s of training, epochs 2 to {EPOCHS} of each process over {NUM_IMAGES:,} images; validation apart.",
    ]
