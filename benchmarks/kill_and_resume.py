"""Kills real trainings at random moments, resumes them, and compares the end with trainings never interrupted.

python benchmarks/kill_and_resume.py --times 20

Every training is a process of its own (`tinysight train`), killed with SIGKILL, so nothing in it can clean up. Moments
are of four kinds, drawn by `--seed`: right after it began, somewhere within an epoch, right after an epoch's end, and
while a checkpoint is being written. Compared are all bits of weights, optimizer, metrics and random states, the history
but its times, the kept best epoch, and the probabilities of every test image. The figures go into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from own_section import put_section

from tinysight.runs import Run
from tinysight.training.history import read_history

# Two nets: the fast one, made narrower so that twenty kills take minutes, with what it keeps besides weights (followed
# means, momentum), and one with dropout and random augmentation that keeps its best epoch.
TRAININGS = {
    "quick with widths 32, 64, 128": ("quick", "--set", "widths=32,64,128"),
    "two-conv with dropout, shifts, mirroring and blanked squares, keep=best": (
        "two-conv", "--epochs", "2", "--set", "flip=random", "--set", "translate=3", "--set", "cutout=6",
        "--set", "layers=conv 16,pool,dropout 0.2,conv 32,pool,flatten,dense 64,dropout 0.5",
        "--set", "validation=stratified", "--set", "keep=best",
    ),
}  # fmt: skip
KINDS = ("early", "within", "epoch end", "writing")


@dataclasses.dataclass
class Victim:
    """A training as a process that is about to be killed.

    Args:
        words: what comes after `tinysight train`.
        run: its run folder.
    """

    words: tuple[str, ...]
    run: Run

    def kill(self, kind: str, pause: float) -> bool:
        """Starts it, waits for a moment of that kind and so many seconds more, kills it; False when it ended before."""
        before, begun = self._checkpoints(), self._begun()
        process = subprocess.Popen(
            [sys.executable, "-m", "tinysight", "train", *self.words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        come: dict[str, Callable[[], bool]] = {
            "early": lambda: self.run.splits.is_file() and self._begun() != begun,
            "within": lambda: self._checkpoints() > before,
            "epoch end": lambda: any(name.endswith("-00000000.npz") for name in self._checkpoints() - before),
            # The one before it is what remains.
            "writing": lambda: bool(self._checkpoints()) and any(self.run.checkpoints.glob(".partial-*.npz")),
        }
        while process.poll() is None and not come[kind]():
            time.sleep(0.002)
        time.sleep(pause)
        was_running = process.poll() is None
        process.kill()
        _, err = process.communicate()
        if not was_running and process.returncode != 0:
            raise RuntimeError(f"the training failed by itself: {err.decode()}")
        return was_running

    def _begun(self) -> float | None:
        """When the training began or went on; it writes that down after imports, data and net."""
        path = self.run.environment
        return path.stat().st_mtime if path.is_file() else None

    def _checkpoints(self) -> set[str]:
        return {path.name for path in self.run.checkpoints.glob("checkpoint-*.npz")}


def differences(one: Run, other: Run) -> list[str]:
    """What is not the same, bit for bit, in two finished runs; empty where everything is."""
    from tinysight.training.checkpoints import read_newest

    ours, theirs = (read_newest(run.checkpoints)[0] for run in (one, other))
    assert ours is not None
    assert theirs is not None
    found = [name for name in ("epoch", "step") if getattr(ours, name) != getattr(theirs, name)]
    found += [f"variable {index}" for index in _differing(ours.variables, theirs.variables)]
    if (ours.best is None) != (theirs.best is None):
        found.append("best")
    if ours.best is not None and theirs.best is not None:
        found += ["best epoch"] if ours.best.epoch != theirs.best.epoch else []
        found += [f"best weights {index}" for index in _differing(ours.best.weights, theirs.best.weights)]
    rows = [[{**row, "seconds": 0} for row in read_history(run.history)] for run in (one, other)]
    found += ["history"] if rows[0] != rows[1] else []
    with np.load(one.predictions) as left, np.load(other.predictions) as right:
        found += [name for name in left.files if not np.array_equal(left[name], right[name])]
    return found


def _differing(ours: list[Any], theirs: list[Any]) -> list[int]:
    if len(ours) != len(theirs):
        return [-1]
    # As bytes: a NaN counts as equal to itself, and 0.0 as different from -0.0.
    return [index for index, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a.tobytes() != b.tobytes()]


def survive(
    run: Run, begin: tuple[str, ...], go_on: tuple[str, ...], moments: Iterator[tuple[str, float]], at_most: int
) -> list[str]:
    """Trains until the end, killed up to so many times; returns the kinds of the kills that came before the end."""
    killed: list[str] = []
    while len(killed) < at_most and not run.is_finished:
        kind, pause = next(moments)
        words = ("--resume", str(run.folder), *go_on) if run.splits.is_file() else begin
        if not run.splits.is_file() and run.folder.is_dir():
            # Killed before there was a run; its folder holds nothing of worth.
            shutil.rmtree(run.folder)
        if Victim(words, run).kill(kind, pause):
            killed.append(kind)
    if not run.is_finished:
        _run("--resume", str(run.folder), *go_on)
    return killed


def draw_moments(seed: int, longest: float) -> Iterator[tuple[str, float]]:
    """Kinds and pauses in seconds without end: up to `longest` within an epoch, else milliseconds."""
    rng = random.Random(seed)
    spread = {"early": longest, "within": longest, "epoch end": 0.1, "writing": 0.03}
    while True:
        for kind in rng.sample(KINDS, len(KINDS)):
            yield kind, rng.uniform(0, spread[kind])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="kills in all")
    parser.add_argument("--each", type=int, default=5, help="kills of one training, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", help="folder with extracted archives")
    parser.add_argument("--checkpoint-minutes", type=float, default=0.05)
    options = parser.parse_args()
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        moments = draw_moments(options.seed, longest=4.0)
        references: dict[str, Run] = {}
        while (left := options.times - sum(len(record["kills"]) for record in records)) > 0:
            name = list(TRAININGS)[len(records) % len(TRAININGS)]
            go_on = ("--checkpoint-minutes", str(options.checkpoint_minutes), "--no-report", "--quiet")
            words = (*TRAININGS[name], *go_on)
            words += ("--data-dir", options.data_dir) if options.data_dir else ()
            if name not in references:
                references[name] = Run(Path(folder) / f"whole-{len(references)}")
                _run(*words, "--out", str(references[name].folder))
            run = Run(Path(folder) / f"killed-{len(records)}")
            killed = survive(run, (*words, "--out", str(run.folder)), go_on, moments, min(left, options.each))
            record = {"training": name, "kills": killed, "differences": differences(references[name], run)}
            print(json.dumps(record), file=sys.stderr, flush=True)
            records.append(record)
        write_section(records, options, {name: _facts(run) for name, run in references.items()})
    if any(record["differences"] for record in records):
        sys.exit(1)


def _run(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tinysight", "train", *words], stdout=subprocess.DEVNULL, check=True)


def _facts(run: Run) -> dict[str, Any]:
    summary = json.loads(run.finished_marker.read_text(encoding="utf-8"))
    sizes = [path.stat().st_size for path in run.checkpoints.glob("*.npz")]
    return {"seconds": summary["seconds"], "accuracy": summary["test_accuracy"], "checkpoint": max(sizes)}


def write_section(records: list[dict[str, Any]], options: argparse.Namespace, facts: dict[str, dict[str, Any]]) -> None:
    """Puts the table into the page, between its marks."""
    kinds = Counter(kind for record in records for kind in record["kills"])
    told = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    num_same = sum(not record["differences"] for record in records)
    lines = [
        "## Killed and resumed",
        f"`python benchmarks/kill_and_resume.py --times {options.times} --each {options.each} --seed {options.seed}`:"
        f" {kinds.total()} times `kill -9` ({told}) on"
        f" {len(records)} trainings of CIFAR-10, a checkpoint every {60 * options.checkpoint_minutes:g} s and at each"
        f" epoch's end. {num_same} of {len(records)} ended with the bits of the training that was never interrupted:"
        " weights, optimizer, metrics, random states, history, best epoch, probabilities of 10,000 test images.",
        "",
        "| training | killed | differences | uninterrupted: seconds, test accuracy | a checkpoint |",
        "| --- | --- | --- | --- | --- |",
    ]
    for record in records:
        fact = facts[record["training"]]
        lines.append(
            f"| {record['training']} | {len(record['kills'])} times | {', '.join(record['differences']) or 'none'} |"
            f" {fact['seconds']:.0f} s, {100 * fact['accuracy']:.2f} % | {fact['checkpoint'] / 1e6:.1f} MB |"
        )
    put_section("kill and resume", lines)


if __name__ == "__main__":
    main()
