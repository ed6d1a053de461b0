"""Seconds to an accuracy on CIFAR-10 on one GPU, warm; beside airbench's own training where that can run."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinysight.benchmarks.bench import Bench
from tinysight.benchmarks.measure import Outcome
from tinysight.benchmarks.spread import in_words, spread

DATA = "cifar10"
# Fewer say little about a mean accuracy whose runs differ by 0.15 points.
FEWEST_RUNS = 25


@dataclass(frozen=True, kw_only=True)
class WarmGoal:
    """What is to be reached.

    Attributes:
        recipe: ours.
        level: airbench's training for the same accuracy, as its package calls it.
        accuracy: what the mean over runs has to reach.
        seconds: the mean has to be under it.
        runs: how many.
    """

    recipe: str
    level: str
    accuracy: float
    seconds: float
    runs: int = FEWEST_RUNS

    def take(self, bench: Bench) -> Outcome:
        """Trains again and again in one process each, ours first."""
        archive = bench.archive(DATA)
        runs = 1 if bench.rehearse else self.runs
        words = [self.recipe, archive, runs, *([1] if bench.rehearse else [])]
        ours = bench.module("warm_training", *words).last_line()
        mine = _side(ours["runs"])
        bench.say(f"{self.recipe} on {ours['device']}: {mine['seconds']['mean']:.2f} s, {mine['accuracy']['mean']:.2%}")
        peer = None
        if has_airbench() and not bench.rehearse:
            peer = _side(bench.plain("../peers/airbench_training.py", self.level, archive, runs).last_line()["runs"])
            bench.say(f"airbench: {peer['seconds']['mean']:.2f} s, {peer['accuracy']['mean']:.2%}")
        figures: dict[str, Any] = {
            "recipe": self.recipe,
            "device": ours["device"],
            "parameters": ours["parameters"],
            "tinysight": mine,
            "airbench": peer,
            "accuracy_goal": self.accuracy,
            "seconds_goal": self.seconds,
            "is_accurate": mine["accuracy"]["mean"] >= self.accuracy,
        }
        is_met = figures["is_accurate"] and mine["seconds"]["mean"] < self.seconds
        return Outcome(
            figures=figures,
            measured=f"{mine['accuracy']['mean']:.2%} in {mine['seconds']['mean']:.2f} s",
            # To be ahead in the same run there has to be somebody.
            is_met=None if peer is None and is_met else bool(is_met and _is_ahead(mine, peer)),
            lines=_lines(figures),
        )


def has_airbench() -> bool:
    """Whether the package airbench and the PyTorch that it needs are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("airbench", "torch", "torchvision"))


def _side(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    return {key: spread([run[key] for run in runs]) for key in ("seconds", "accuracy")}


def _is_ahead(mine: dict[str, Any], peer: dict[str, Any] | None) -> bool:
    return peer is None or mine["seconds"]["mean"] < peer["seconds"]["mean"]


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = ["| | seconds, mean | test accuracy, mean | runs |", "| --- | ---: | ---: | ---: |"]
    for name, side in ((f"`{figures['recipe']}`", figures["tinysight"]), ("airbench", figures["airbench"])):
        if side is None:
            lines.append(f"| {name} | not installed | - | - |")
            continue
        lines.append(
            f"| {name} | {in_words(side['seconds'], '{:.2f} s', 'mean')} |"
            f" {in_words(side['accuracy'], '{:.2%}', 'mean')} | {len(side['seconds']['values'])} |"
        )
    return [
        *lines,
        "",
        f"- {figures['device']}; {figures['parameters']:,} parameters; images on the device, everything compiled.",
        f"- Goal: {figures['accuracy_goal']:.1%} in less than {figures['seconds_goal']:g} s.",
    ]
