"""The tour of the README: its commands as they are typed, one after the other, on few pictures."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from whole_commands import environment

from tinysight.runs import Run

ROOT = Path(__file__).parents[1]
HEADING = "## A tour on pictures of your own"


def tour() -> str:
    """What the section's blocks say, as one script."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^{HEADING}$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert section
    return "\n".join(re.findall(r"```sh\n(.*?)```", section[1], re.DOTALL))


def free_port() -> int:
    # Below those that the system hands out, as other tests ask for one all the time, and the tour takes it much later.
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as taken, contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def shorter(script: str) -> str:
    """The same with few pictures, few steps, and a port that is free."""
    changed = script
    for typed, instead in (
        ("--per-class 500", "--per-class 16"),
        ("--set translate=3", "--set translate=3 --set steps=40"),
        ("8000", str(free_port())),
    ):
        assert typed in changed
        changed = changed.replace(typed, instead)
    return changed


def test_every_verb_of_the_tour_is_in_it() -> None:
    verbs = re.findall(r"^tinysight (\w+)", tour(), re.MULTILINE)
    assert verbs == ["data", "train", "report", "evaluate", "export", "serve"]


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("curl"), reason="needs a POSIX shell and curl")
def test_the_tour(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    # The commands `python` and `tinysight` are this environment's.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    out, err = tmp_path / "out.txt", tmp_path / "err.txt"
    # Files, not pipes, which the service would hold open if the shell ended before it.
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            ["sh", "-e", "-c", shorter(tour())],
            cwd=tmp_path,
            env={**environment(tmp_path / "empty-cache"), "PATH": path, "no_proxy": "127.0.0.1"},
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            process.wait(600)
        finally:
            # The shell if it is still there, and the service if the shell came so far and no further.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    printed = out.read_text(encoding="utf-8")
    assert process.returncode == 0, err.read_text(encoding="utf-8")
    assert "glyphs: 160 pictures, 16 each of ABCDEFGHIJ" in printed
    assert "problems: 0" in printed
    assert (tmp_path / "check.html").stat().st_size > 10_000
    run = Run(tmp_path / "runs" / "glyphs")
    assert run.is_finished
    assert run.report.is_file()
    # A tenth is chance; so few pictures do not teach much more.
    accuracy = re.search(r"^accuracy +([0-9.]+)", printed, re.MULTILINE)
    assert accuracy
    assert float(accuracy[1]) > 0.15
    (answer,) = [json.loads(line) for line in printed.splitlines() if line.startswith('{"model"')]
    (prediction,) = answer["predictions"]
    assert {each["name"] for each in prediction["classes"]} <= set("ABCDEFGHIJ")
    assert (run.folder / "exports" / "web" / "index.html").is_file()
    assert (run.folder / "exports" / "model.onnx").is_file()
