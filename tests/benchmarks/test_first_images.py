"""Accuracy of runs on their first test images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tinysight.evaluation.predictions import Predictions, write_predictions
from tinysight.files import write_text
from tinysight.recipe import load_recipe, to_toml
from tinysight.runs import create_run

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from first_images import main


def _run(folder: Path, right: list[int]) -> str:
    """A finished run of ten test images, of which some are right."""
    run = create_run(folder, "made")
    write_text(run.recipe, to_toml(load_recipe("mnist-softmax"), "# A run for tests."))
    probabilities = np.tile(np.array([[0.9, 0.1]], np.float32), (10, 1))
    labels = np.array([0 if index in right else 1 for index in range(10)], np.int32)
    write_predictions(run.predictions, {"test": Predictions(probabilities=probabilities, labels=labels)})
    run.finish({})
    return str(run.folder)


def test_first_and_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [_run(tmp_path / "a", [0, 1, 2, 3, 9]), _run(tmp_path / "b", [0, 1, 5])]
    assert main([*runs, "--count", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # Wilson's interval of 4 in 4 ends at 1, of 1 in 6 it is 3.0 to 56.4 %.
    assert lines[0].startswith(
        f"{runs[0]}: first 100.00% (51.01% to 100.00%, n = 4); others 16.67% (3.01% to 56.35%, n = 6)"
    )
    assert lines[0].endswith("n = 10)")
    assert lines[2:] == ["first: mean 75.00% (50.00% to 100.00%)", "others: mean 16.67% (16.67% to 16.67%)"]


@pytest.mark.parametrize("count", [0, 10])
def test_a_count_that_leaves_nothing(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _run(tmp_path / "a", [0])
    assert main([run, "--count", str(count)]) == 2
    assert f"--count is {count}; {run} has 10 test images, so expected 1 to 9" in capsys.readouterr().err


def test_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent")]) == 2
    assert "absent" in capsys.readouterr().err
