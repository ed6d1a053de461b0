"""The command `tinysight` as a process of its own, with nothing in its cache and no way to the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinysight.runs import Run

# Nothing listens on port 9 of loopback, so a download is refused at once.
NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")

# JAX compiles small nets for far longer than they run: less optimisation saves time. With none at all (0), XLA of JAX
# 0.10 gives NaN for nets of two convolutions that it computes rightly otherwise.
QUICK_XLA = {"XLA_FLAGS": "--xla_backend_optimization_level=1"}


def environment(cache: Path) -> dict[str, str]:
    """This process's environment without what a person may have set, and with an empty cache."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in ("TINYSIGHT_DATA", "KERAS_BACKEND", "NO_PROXY", "no_proxy", "PYTHONWARNINGS")
    }
    return {**kept, **NO_NETWORK, "TINYSIGHT_CACHE": str(cache), "JAX_PLATFORMS": "cpu", "PYTHONIOENCODING": "utf-8"}


def arguments(*words: object) -> list[str]:
    return [sys.executable, "-m", "tinysight", *map(str, words)]


def run_command(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(*words), cwd=cwd, env=environment(cwd / "empty-cache"), capture_output=True, encoding="utf-8"
    )


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run that a whole command made.

    Attributes:
        run: its folder, absolute.
        summary: what `--json` printed.
        done: the process.
    """

    run: Run
    summary: dict[str, Any]
    done: subprocess.CompletedProcess[str]


def train(*words: object, cwd: Path) -> Trained:
    done = run_command("train", *words, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    return Trained(run=Run(cwd / summary["run"]), summary=summary, done=done)
