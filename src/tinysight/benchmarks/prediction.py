"""Prediction with a run against prediction in plain Keras with the same model: many images, and one as a process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from tinysight.benchmarks.bench import Bench
from tinysight.benchmarks.measure import Outcome
from tinysight.benchmarks.spread import in_words, spread
from tinysight.runs import Run

RECIPES, DATA = ("tensorflow", "leaky-adamax"), "cifar10"
GOAL_MANY, GOAL_ONE = 3.0, 10.0
PASSES = 5
# Weights do not matter to speed: a few steps make a whole run.
STEPS = 20


def take(bench: Bench) -> Outcome:
    """Trains a run of each net for a few steps, then lets both sides classify in turn."""
    image = _one_image(bench)
    figures = {}
    for recipe in RECIPES:
        run, _ = bench.train(recipe, DATA, 0, steps=STEPS, validation="none")
        figures[recipe] = {"many": _many(bench, recipe, run), "one": _one(bench, recipe, run, image)}
    is_met = all(
        figure["many"]["ratio"] >= GOAL_MANY and figure["one"]["ratio"] >= GOAL_ONE for figure in figures.values()
    )
    measured = "; ".join(
        f"{name} {figure['many']['ratio']:.1f} and {figure['one']['ratio']:.1f} times"
        for name, figure in figures.items()
    )
    return Outcome(figures=figures, measured=measured, is_met=is_met, lines=_lines(figures))


def _one_image(bench: Bench) -> Path:
    from PIL import Image

    path = bench.folder / "image.png"
    with np.load(bench.archive(DATA), allow_pickle=False) as arrays:
        Image.fromarray(arrays["x_test"][0]).save(path)
    return path


def _many(bench: Bench, recipe: str, run: Run) -> dict[str, Any]:
    archive = bench.archive(DATA)
    rates: dict[str, list[float]] = {"plain": [], "tinysight": []}
    classes = {}
    passes = 1 if bench.rehearse else PASSES
    for number in range(bench.rounds):
        for side in list(rates) if number % 2 == 0 else list(rates)[::-1]:
            done = (
                bench.plain("predict_many.py", run.keras_model, archive, passes)
                if side == "plain"
                else bench.module("predict_rate", run.folder, archive, passes)
            )
            result = done.last_line()
            rates[side].append(result["num_images"] / float(np.median(result["seconds"])))
            classes[side] = result["classes"]
            bench.say(f"round {number + 1} of {bench.rounds}: {recipe}, {side}: {rates[side][-1]:,.0f} images/s")
    plain, ours = spread(rates["plain"]), spread(rates["tinysight"])
    return {
        "plain": plain,
        "tinysight": ours,
        "ratio": ours["median"] / plain["median"],
        "ratios": [one / other for one, other in zip(ours["values"], plain["values"], strict=True)],
        "num_images": len(classes["plain"]),
        "num_other_classes": int(np.sum(np.not_equal(classes["plain"], classes["tinysight"]))),
    }


def _one(bench: Bench, recipe: str, run: Run, image: Path) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"plain": [], "tinysight": []}
    for number in range(bench.rounds):
        for side in list(seconds) if number % 2 == 0 else list(seconds)[::-1]:
            done = (
                bench.plain("predict_one.py", run.keras_model, image)
                if side == "plain"
                else bench.run([sys.executable, "-m", "tinysight", "predict", str(run.folder), str(image)])
            )
            seconds[side].append(done.seconds)
            bench.say(f"round {number + 1} of {bench.rounds}: {recipe}, one image, {side}: {done.seconds:.2f} s")
    plain, ours = spread(seconds["plain"]), spread(seconds["tinysight"])
    return {
        "plain": plain,
        "tinysight": ours,
        "ratio": plain["median"] / ours["median"],
        "ratios": [one / other for one, other in zip(plain["values"], ours["values"], strict=True)],
    }


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [
        "| net | what | plain Keras | tinysight | ratio (by round) | goal |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, figure in figures.items():
        for what, form, key, goal in (
            (f"images/s, {figure['many']['num_images']:,} images", "{:,.0f}", "many", GOAL_MANY),
            ("one image, whole process", "{:.2f} s", "one", GOAL_ONE),
        ):
            taken = figure[key]
            rounds = ", ".join(f"{ratio:.1f}" for ratio in taken["ratios"])
            lines.append(
                f"| `{name}` | {what} | {in_words(taken['plain'], form)} | {in_words(taken['tinysight'], form)} |"
                f" {taken['ratio']:.1f} ({rounds}) | {goal:g} |"
            )
    others = sum(figure["many"]["num_other_classes"] for figure in figures.values())
    return [
        *lines,
        "",
        f"Keras's `predict` at its default batch size; images with another class on the two sides: {others}.",
    ]
