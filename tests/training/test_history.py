"""The history file, and durations for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinysight.training.history import read_history, write_history


def test_round_trip_with_a_value_that_a_row_lacks(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "loss": 0.125}, {"epoch": 2, "loss": 1e-9, "val_loss": 3.0}]
    write_history(tmp_path / "h.csv", rows)
    assert (tmp_path / "h.csv").read_bytes() == b"epoch,loss,val_loss\n1,0.125,\n2,1e-09,3\n"
    assert read_history(tmp_path / "h.csv") == rows


def test_no_rows(tmp_path: Path) -> None:
    write_history(tmp_path / "h.csv", [])
    assert read_history(tmp_path / "h.csv") == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (65, "1:05"), (3599.7, "1:00:00"), (7384, "2:03:04")],
)
def test_clock(seconds: float, text: str, keras_module: Any) -> None:
    from tinysight.training.progress import clock

    assert clock(seconds) == text
