"""Every tutorial, trained as it is published and set against its published figure."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tinysight.errors import InvalidValueError, RunError, TrainingStoppedError
from tinysight.files import write_json, write_text
from tinysight.recipe import TUTORIALS, load_recipe, parse_assignments

RESULTS = "tutorials"


def tutorials(
    *,
    seeds: int = 1,
    only: Sequence[str] = TUTORIALS,
    assignments: Sequence[str] = (),
    data_dir: str | None = None,
    out: str | Path = "runs/tutorials",
    quiet: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Trains each recipe once a seed, each in a process of its own, and writes the table as JSON and Markdown.

    Args:
        seeds: trainings of each recipe, with seeds 0, 1, ...
        only: names of recipes, in the order in which they run.
        assignments: `key=value` texts that change every recipe.
        data_dir: where extracted archives lie.
        out: folder of the runs and the table; it must not hold them yet.
        quiet: whether the trainings print no progress.
        say: takes lines for a person.

    Returns:
        One record a recipe: recipe, parameters, published_accuracy, mean_accuracy, std_accuracy (None for one seed),
        seeds, seconds (median of `fit`), runs.

    Raises:
        TinysightError: before anything trains, for an unknown recipe or field.
        TrainingStoppedError: when a training fails.
    """
    folder = Path(out)
    if folder.exists():
        raise RunError(f"{folder} exists already; a run is never overwritten: name another folder with --out")
    changes = parse_assignments(list(assignments))
    if "seed" in changes:
        raise InvalidValueError("seed cannot be set for all trainings of a recipe; expected --seeds N, for 0 to N-1")
    recipes = {name: load_recipe(name, **changes) for name in only}
    records = []
    for name, recipe in recipes.items():
        summaries = []
        for seed in range(seeds):
            say(f"{name}, seed {seed}")
            summaries.append(_train(name, seed, assignments, data_dir, folder / f"{name}-{seed}", quiet))
        records.append(_record(name, recipe.published_accuracy, summaries))
        write_json(folder / f"{RESULTS}.json", records)
        write_text(folder / f"{RESULTS}.md", markdown(records))
    return records


def _train(
    name: str, seed: int, assignments: Sequence[str], data_dir: str | None, out: Path, quiet: bool
) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "tinysight", "train", name, "--json", "--no-report", "--out", str(out)]
    for assignment in (*assignments, f"seed={seed}"):
        command += ["--set", assignment]
    command += ["--data-dir", data_dir] if data_dir else []
    command += ["--quiet"] if quiet else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise TrainingStoppedError(f"`tinysight train {name}` ended with status {done.returncode}; its reason is above")
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def _record(name: str, published: float | None, summaries: list[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [summary["test_accuracy"] for summary in summaries]
    return {
        "recipe": name,
        "data": summaries[0]["data"],
        "parameters": summaries[0]["parameters"],
        "published_accuracy": published,
        "mean_accuracy": statistics.fmean(accuracies),
        "std_accuracy": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "seeds": len(accuracies),
        "seconds": statistics.median(summary["seconds"] for summary in summaries),
        "runs": [summary["run"] for summary in summaries],
    }


def markdown(records: list[dict[str, Any]]) -> str:
    """The table for people."""
    lines = [
        "| recipe | data | parameters | published | measured | spread | seeds | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for record in records:
        published, spread = record["published_accuracy"], record["std_accuracy"]
        lines.append(
            f"| {record['recipe']} | {record['data']} | {record['parameters']:,} |"
            f" {'-' if published is None else f'{published:.2%}'} | {record['mean_accuracy']:.2%} |"
            f" {'-' if spread is None else f'{spread:.2%}'} | {record['seeds']} | {record['seconds']:.0f} |"
        )
    return "\n".join(lines) + "\n"
