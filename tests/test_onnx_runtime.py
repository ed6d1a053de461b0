"""ONNX Runtime leaves no trace of its own and reports to nobody."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from digit_run import make_digit_run

from tinysight.onnx_runtime import load_onnxruntime

ROOT = Path(__file__).parents[1]
# Without the variable, and with a home of its own that shows whatever is left there.
CLEAN = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}


def test_nothing_is_kept_about_a_person(tmp_path: Path) -> None:
    run = make_digit_run(tmp_path / "run")
    home = tmp_path / "home"
    home.mkdir()
    script = (
        "import os, sys, numpy as np\nfrom tinysight.serving.predictor import load_predictor\n"
        "load_predictor(sys.argv[1]).predict(np.zeros((1, 28, 28, 1), np.uint8))\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    surroundings = {**CLEAN, "HOME": str(home), "USERPROFILE": str(home), "LOCALAPPDATA": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(run.folder)], env=surroundings, capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "1", "")
    assert list(home.rglob("*")) == []


def test_a_choice_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    load_onnxruntime()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"


def test_every_import_comes_after_that_call() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "onnx_runtime.py" or "onnxruntime" not in text:
            continue
        calls = [number for number, line in enumerate(text.splitlines()) if line.strip() == "load_onnxruntime()"]
        imports = [node.lineno - 1 for node in ast.walk(ast.parse(text)) if "onnxruntime" in imported(node)]
        assert not imports or (calls and min(calls) < min(imports)), path


def imported(node: ast.AST) -> list[str]:
    """The packages that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [(node.module or "").split(".")[0]] if isinstance(node, ast.ImportFrom) else []
