"""A CSV or JSON-lines file that names images and their classes."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tinysight.data.listing import SPLIT_NAMES, Item, Listing, by_split
from tinysight.data.scan import LeftOut, class_name
from tinysight.errors import DataError, InvalidValueError

PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path", "filepath")
LABEL_COLUMNS = ("label", "class", "class_name", "category", "target")
SPLIT_COLUMNS = ("split", "subset")

Row = Mapping[str, Any]


def read_manifest(path: Path, group_column: str | None = None) -> Listing:
    """The images that a CSV (comma, semicolon or tab) or JSON-lines file names, in its order.

    Args:
        path: the file; paths in it are relative to its folder.
        group_column: the column that says which object an image shows, or None.

    Raises:
        InvalidValueError: when the group column is not there.
        DataError: when the file is not UTF-8 text of that form, a column or a value is missing, or it names no image.
    """
    is_json = path.suffix.lower() in (".jsonl", ".ndjson")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _json_rows(path, file) if is_json else _csv_rows(path, file)
            items, missing = _read_rows(path, rows, group_column)
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path}' is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}") from None
    if not items:
        found = (
            f"{len(missing):,} rows, none of whose files exist (the first: {missing[0].name})" if missing else "no row"
        )
        raise DataError(f"'{path}' names no image: found {found}; paths in it are relative to {path.parent.resolve()}")
    _check_all_have_splits(path, items)
    layout = "JSON lines" if is_json else "CSV"
    return Listing(root=path, base=path.parent, layout=layout, items=by_split(items), left_out=tuple(missing))


def _read_rows(
    path: Path, rows: Iterator[tuple[int, Row]], group_column: str | None
) -> tuple[list[Item], list[LeftOut]]:
    items, missing = [], []
    for line, row in rows:
        item = _item(f"'{path}' line {line}", row, group_column)
        name = _existing(path.parent, item.name)
        if name is None:
            missing.append(LeftOut(item.name, "missing", f"does not exist (line {line})"))
        else:
            items.append(item._replace(name=name))
    return items, missing


def _item(where: str, row: Row, group_column: str | None) -> Item:
    by_lower = {name.strip().lower(): name for name in row}
    split = _first(by_lower, SPLIT_COLUMNS)
    return Item(
        name=_text(where, row, _needed(where, by_lower, PATH_COLUMNS)),
        label=class_name(_text(where, row, _needed(where, by_lower, LABEL_COLUMNS))),
        split=None if split is None else _split(where, row[split]),
        group=None if group_column is None else _group(where, row, group_column),
    )


def _needed(where: str, by_lower: dict[str, str], columns: Iterable[str]) -> str:
    column = _first(by_lower, columns)
    if column is None:
        raise DataError(f"{where} has no column called {' or '.join(columns)}; found: {', '.join(by_lower.values())}")
    return column


def _first(by_lower: dict[str, str], columns: Iterable[str]) -> str | None:
    return next((by_lower[column] for column in columns if column in by_lower), None)


def _text(where: str, row: Row, column: str) -> str:
    value = row[column]
    # JSON's true, null, lists and numbers with a fraction are no names; a whole number is.
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise DataError(f"{where} has {json.dumps(value)} as {column}; expected a name")
    return str(value).strip()


def _split(where: str, value: Any) -> str | None:
    if value is None or not str(value).strip():
        return None
    split = SPLIT_NAMES.get(str(value).strip().lower())
    if split is None:
        raise DataError(f"{where} has '{value}' as split; expected train, validation or test")
    return split


def _group(where: str, row: Row, column: str) -> str:
    if column not in row:
        raise InvalidValueError(f"{where} has no column '{column}' to group by; found: {', '.join(row)}")
    return _text(where, row, column)


def _check_all_have_splits(path: Path, items: list[Item]) -> None:
    without = sum(item.split is None for item in items)
    if 0 < without < len(items):
        raise DataError(f"'{path}' gives a split for some rows and none for {without:,}; expected one for all or none")


def _existing(folder: Path, name: str) -> str | None:
    """The name as it exists on disk, or None; a backslash from Windows is read as a slash elsewhere."""
    for candidate in (name, name.replace("\\", "/")):
        # A null byte in a name is a ValueError.
        if "\0" not in candidate and os.path.isfile(os.path.join(folder, candidate)):
            return candidate
    return None


def _csv_rows(path: Path, file: Iterable[str]) -> Iterator[tuple[int, Row]]:
    lines = iter(file)
    header = next(lines, "")
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(_chained(header, lines), delimiter=delimiter, strict=True)
    try:
        columns = next(reader, [])
        for values in reader:
            if not values:
                continue
            if len(values) != len(columns):
                raise DataError(
                    f"'{path}' line {reader.line_num} has {len(values)} values; expected {len(columns)}, as in its"
                    " first line"
                )
            yield reader.line_num, dict(zip(columns, values, strict=True))
    except csv.Error as error:
        raise DataError(f"'{path}' line {reader.line_num} is damaged: {error}") from None


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _json_rows(path: Path, file: Iterable[str]) -> Iterator[tuple[int, Row]]:
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError as error:
            raise DataError(f"'{path}' line {line} is no JSON: {error}") from None
        if not isinstance(row, dict):
            raise DataError(
                f'\'{path}\' line {line} is no JSON object; expected one such as {{"path":..., "label":...}}'
            )
        yield line, row
