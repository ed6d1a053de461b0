"""Runs the programs of a benchmark in this process, where TensorFlow is loaded already."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tinysight.benchmarks.processes import Done

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "benchmarks" / "plain_keras"
MODULES = ROOT / "src" / "tinysight" / "benchmarks"
Command = Callable[..., tuple[int, str, str]]


def run_file(path: Path, *words: object) -> tuple[str, dict[str, object]]:
    """What a program prints, and the names it leaves."""
    before, printed = sys.argv, io.StringIO()
    sys.argv = [str(path), *map(str, words)]
    try:
        with contextlib.redirect_stdout(printed):
            names = runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before
    return printed.getvalue(), names


class Programs:
    """Stands for `run_process`; keeps the commands. Every program takes a second and a gigabyte."""

    def __init__(self, command: Command) -> None:
        self.command, self.commands = command, list[list[str]]()

    def __call__(self, command: Sequence[str]) -> Done:
        assert command[0] == sys.executable
        words = list(command[1:])
        self.commands.append(words)
        if words[:2] == ["-m", "tinysight"]:
            status, printed, err = self.command(*words[2:])
            if status:
                pytest.fail(err)
        elif words[0] == "-m":
            printed, _ = run_file(MODULES / f"{words[1].rpartition('.')[2]}.py", *words[2:])
        else:
            printed, _ = run_file(Path(words[0]), *words[1:])
        return Done(seconds=1.0, peak_bytes=10**9, printed=printed)
