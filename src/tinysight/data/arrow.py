"""A folder that Hugging Face's `datasets` wrote with `save_to_disk`, read with pyarrow alone.

Source: https://huggingface.co/docs/datasets/package_reference/main_classes (Dataset.save_to_disk): a `Dataset` is a
folder of `state.json` (which files, in order), `dataset_info.json` (the features) and Arrow stream files; a
`DatasetDict` is a folder of `dataset_dict.json` (which splits) and one such folder per split.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinysight.data.listing import SPLIT_NAMES, Item, Listing, by_split
from tinysight.data.scan import LeftOut, class_name
from tinysight.errors import DataError, ImageError, InvalidValueError
from tinysight.files import read_json

_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"


def is_arrow_folder(folder: Path) -> bool:
    return (folder / _SPLITS).is_file() or ((folder / _STATE).is_file() and (folder / _INFO).is_file())


def read_arrow_folder(root: Path, group_column: str | None = None) -> Listing:
    """The images of a saved `Dataset` or `DatasetDict`.

    Args:
        root: the folder.
        group_column: the column that says which object an image shows, or None.

    Raises:
        DataError: when pyarrow is not installed, the folder is damaged, or it has no column of images or classes.
        InvalidValueError: when the group column is not there.
    """
    _import_pyarrow()
    if not (root / _SPLITS).is_file():
        items, order, left_out = _read_dataset(root, "", None, group_column)
    else:
        items, order, left_out = [], None, []
        for name in _json_value(root / _SPLITS, "splits"):
            split = SPLIT_NAMES.get(str(name).lower())
            if split is None:
                raise DataError(f"'{root}' has a split called '{name}'; expected train, validation or test")
            more, names, without = _read_dataset(root, f"{name}/", split, group_column)
            items, left_out = items + more, left_out + without
            order = names if split == "train" or order is None else order
    if not items:
        raise DataError(f"'{root}' holds no image: its tables have no row with one")
    if order is not None:
        # A split may name classes that the training split does not; whether it may have them is checked later.
        order += tuple(sorted({item.label for item in items}.difference(order)))
    return Listing(
        root=root, base=root, layout="Hugging Face folder", kind="arrow", items=by_split(items), class_order=order,
        left_out=tuple(left_out),
    )  # fmt: skip


class Cells:
    """The images of a saved data set, one by one.

    Args:
        base: the folder that was read.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._columns: dict[str, Any] = {}

    def __call__(self, name: str) -> bytes | Path:
        """What the cell of an item, as in "train/data-00000-of-00001.arrow#7", holds: a file's bytes, or its path.

        Raises:
            ImageError: when the cell is empty.
            DataError: when the file is gone or damaged.
        """
        file, row = name.rsplit("#", 1)
        if file not in self._columns:
            self._columns[file] = _image_column(self._base / file)
        cell = self._columns[file][int(row)].as_py()
        if cell is None or not (cell["bytes"] or cell["path"]):
            raise ImageError("the cell is empty; expected an image")
        content: bytes = cell["bytes"]
        return content or Path(cell["path"])


def _read_dataset(
    root: Path, prefix: str, split: str | None, group_column: str | None
) -> tuple[list[Item], tuple[str, ...] | None, list[LeftOut]]:
    features = _json_value(root / prefix / _INFO, "features")
    label_column, names = _label_column(root / prefix, features)
    items: list[Item] = []
    left_out: list[LeftOut] = []
    for file in _data_files(root / prefix):
        table = _table(root / prefix / file)
        labels = _column(root, table, label_column).to_pylist()
        groups = [None] * len(labels) if group_column is None else _groups(root, table, group_column)
        for row, (label, group) in enumerate(zip(labels, groups, strict=True)):
            name = f"{prefix}{file}#{row}"
            text = _label_text(label, names)
            if text is None:
                left_out.append(LeftOut(name, "unreadable", f"has {label!r} as {label_column}, which is no class"))
            else:
                items.append(Item(name, text, split, group))
    return items, names, left_out


def _label_column(folder: Path, features: dict[str, Any]) -> tuple[str, tuple[str, ...] | None]:
    """(its name, the class names that its numbers stand for or None)."""
    numbered = [name for name, kind in features.items() if _kind(kind) == "ClassLabel"]
    plain = [name for name in ("label", "labels", "class", "target") if name in features]
    if len(numbered) == 1 or (len(numbered) > 1 and "label" in numbered):
        column = numbered[0] if len(numbered) == 1 else "label"
        return column, tuple(class_name(str(name)) for name in features[column]["names"])
    if numbered or not plain:
        raise DataError(
            f"'{folder}' has the columns {', '.join(features)}; expected one of type ClassLabel, or one called label"
        )
    return plain[0], None


def _label_text(label: Any, names: tuple[str, ...] | None) -> str | None:
    if names is not None:
        return names[label] if isinstance(label, int) and 0 <= label < len(names) else None
    return class_name(str(label)) if isinstance(label, str | int) and str(label).strip() else None


def _groups(root: Path, table: Any, column: str) -> list[str]:
    if column not in table.column_names:
        raise InvalidValueError(
            f"'{root}' has no column '{column}' to group by; found: {', '.join(table.column_names)}"
        )
    return [str(value) for value in table.column(column).to_pylist()]


def _column(root: Path, table: Any, name: str) -> Any:
    if name not in table.column_names:
        raise DataError(f"'{root}' is damaged: a table lacks the column {name} that {_INFO} names")
    return table.column(name)


def _image_column(file: Path) -> Any:
    features = _json_value(file.parent / _INFO, "features")
    columns = [name for name, kind in features.items() if _kind(kind) == "Image"]
    if len(columns) != 1:
        raise DataError(
            f"'{file.parent}' has {len(columns)} columns of type Image among {', '.join(features)}; expected one"
        )
    return _column(file.parent, _table(file), columns[0])


def _kind(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _table(file: Path) -> Any:
    pyarrow = _import_pyarrow()
    try:
        # A memory map: rows are read when they are asked for.
        return pyarrow.ipc.open_stream(pyarrow.memory_map(str(file))).read_all()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"'{file}' is damaged or missing: {' '.join(str(error).split())}") from None


def _data_files(folder: Path) -> Iterator[str]:
    for entry in _json_value(folder / _STATE, "_data_files"):
        file = str(entry["filename"])
        if Path(file).name != file:
            raise DataError(f"'{folder / _STATE}' names '{file}', which leaves the folder")
        yield file


def _json_value(path: Path, key: str) -> Any:
    try:
        return read_json(path)[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is damaged or missing ({type(error).__name__}: {error})") from None


def _import_pyarrow() -> Any:
    try:
        importlib.import_module("pyarrow.ipc")
        return importlib.import_module("pyarrow")
    except ImportError:
        raise DataError(
            "a Hugging Face folder is read with pyarrow, which is not installed: run `pip install pyarrow`"
        ) from None
