"""The one record of a training that printing, plots and reports read: a row an epoch."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tinysight.files import write_text

Row = dict[str, float]


def write_history(path: Path, rows: list[Row]) -> None:
    """Writes the rows as CSV, whole or not at all; a value that a row lacks stays empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _shortest(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def _shortest(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else f"{value:.7g}"


def read_history(path: Path) -> list[Row]:
    """The rows of a history file; empty values are left out."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
