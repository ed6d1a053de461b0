from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from own_images import make_classes

from tinysight.data.own import OwnData
from tinysight.data.source import list_images, load_data
from tinysight.errors import DataError, InvalidValueError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "img", {"a": 8, "b": 8})


def rows(split: object = None, group: object = None) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for name in "ab":
        for number in range(8):
            row: dict[str, object] = {"path": f"img/{name}/{number}.png", "label": name}
            if split is not None:
                row["split"] = "train" if number < 6 else "test"
            if group is not None:
                row["person"] = f"p{number // 2}"
            found.append(row)
    return found


def as_csv(entries: list[dict[str, object]], delimiter: str = ",") -> str:
    lines = [list(entries[0]), *(list(entry.values()) for entry in entries)]
    return "\n".join(delimiter.join(map(str, line)) for line in lines) + "\n"


def as_jsonl(entries: list[dict[str, object]]) -> str:
    return "\n".join(json.dumps(entry) for entry in entries) + "\n"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("labels.csv", as_csv),
        ("labels.CSV", lambda entries: as_csv(entries, ";").replace("path", "filename").replace("label", "class")),
        ("labels.tsv", lambda entries: as_csv(entries, "\t")),
        ("labels.csv", lambda entries: "\ufeff" + as_csv(entries).replace("\n", "\r\n")),
        ("labels.csv", lambda entries: as_csv(entries).replace("/", "\\")),
        ("labels.jsonl", as_jsonl),
        ("labels.ndjson", lambda entries: as_jsonl(entries).replace("\n", "\n\n")),
    ],
)
def test_paths_and_labels_in_every_spelling(folder: Path, name: str, make: object) -> None:
    path = write(folder.parent / name, make(rows()))  # type: ignore[operator]
    data = load_data(path)
    assert data.class_names == ("a", "b")
    assert len(data.train) + len(data.test) == 16
    pairs = zip(data.train.sources, data.train.labels, strict=True)
    assert all(source.split("/")[1] == "ab"[label] for source, label in pairs)


def test_splits_and_groups_in_columns(folder: Path) -> None:
    path = write(folder.parent / "labels.csv", as_csv(rows(split=True, group=True)))
    data = load_data(path)
    assert isinstance(data, OwnData)
    assert data.test_source == "own"
    assert data.test.counts().tolist() == [2, 2]
    path = write(folder.parent / "labels.jsonl", as_jsonl(rows(group=True)))
    data = load_data(path, group_by="person", test_fraction=0.25)
    assert isinstance(data, OwnData)
    assert data.train_groups is not None
    assert data.test.counts().tolist() == [2, 2]
    assert {source[-5] for source in data.test.sources} in ({"0", "1"}, {"2", "3"}, {"4", "5"}, {"6", "7"})


def test_numbers_as_labels_are_names_in_natural_order(folder: Path) -> None:
    entries = [{**row, "label": 2 if row["label"] == "a" else 10} for row in rows()]
    assert load_data(write(folder.parent / "labels.jsonl", as_jsonl(entries))).class_names == ("2", "10")
    assert load_data(write(folder.parent / "labels.csv", as_csv(entries))).class_names == ("2", "10")


def test_files_that_do_not_exist_are_left_out_and_named(folder: Path) -> None:
    entries = [*rows(), {"path": "img/a/none.png", "label": "a"}, {"path": "nul\0l", "label": "a"}]
    listing = list_images(write(folder.parent / "labels.jsonl", as_jsonl(entries)))
    assert [(item.name, item.kind) for item in listing.left_out] == [
        ("img/a/none.png", "missing"),
        ("nul\0l", "missing"),
    ]
    assert "line 17" in listing.left_out[0].reason
    with pytest.raises(DataError, match="none of whose files exist"):
        load_data(write(folder.parent / "labels.csv", "path,label\nx.png,a\n"))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("l.csv", "", "names no image: found no row"),
        ("l.csv", "path,label\n", "names no image: found no row"),
        ("l.csv", "img/a/0.png,a\nimg/b/0.png,b\n", "line 2 has no column called path or"),
        ("l.csv", "path,what\nimg/a/0.png,a\n", "line 2 has no column called label or"),
        ("l.csv", "path,label\nimg/a/0.png\n", "line 2 has 1 values; expected 2"),
        ("l.csv", "path,label\nimg/a/0.png,\n", 'line 2 has "" as label'),
        ("l.csv", 'path,label\n"img/a/0.png,a\n', "is damaged: unexpected end of data"),
        ("l.csv", "path,label,split\nimg/a/0.png,a,holdout\n", "has 'holdout' as split"),
        ("l.csv", "path,label,split\nimg/a/0.png,a,train\nimg/b/0.png,b,\n", "none for 1; expected one for all"),
        ("l.csv", "path,label,split\nimg/a/0.png,a,train\nimg/b/0.png,b,test\n", "test lacks 'a'; test alone has 'b'"),
        ("l.csv", "path,label\nimg/a/0.png,a\nimg/a/1.png,a\n", "holds one class, 'a' with 2 images"),
        ("l.jsonl", '{"path": "img/a/0.png", "label": "a"\n', "line 1 is no JSON"),
        ("l.jsonl", '["img/a/0.png", "a"]\n', "line 1 is no JSON object"),
        ("l.jsonl", '{"path": "img/a/0.png", "label": null}\n', "has null as label"),
        ("l.jsonl", '{"path": "img/a/0.png", "label": true}\n', "has true as label"),
        ("l.jsonl", '{"path": "img/a/0.png", "label": 1.5}\n', "has 1.5 as label"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(folder: Path, name: str, text: str, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        load_data(write(folder.parent / name, text))
    assert expected in str(caught.value)


def test_text_that_is_not_utf8_is_refused(folder: Path) -> None:
    path = folder.parent / "labels.csv"
    path.write_bytes("path,label\nimg/a/0.png,caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        load_data(path)


def test_a_column_to_group_by_must_be_there(folder: Path) -> None:
    path = write(folder.parent / "labels.csv", as_csv(rows()))
    with pytest.raises(InvalidValueError, match="no column 'person' to group by; found: path, label"):
        load_data(path, group_by="person")


def test_too_many_classes_are_refused(folder: Path) -> None:
    entries = [{"path": "img/a/0.png", "label": f"c{number}"} for number in range(1001)]
    with pytest.raises(DataError, match="1,001 classes; expected at most 1,000"):
        load_data(write(folder.parent / "labels.csv", as_csv(entries)))


def test_accents_are_one_class_in_either_spelling(folder: Path) -> None:
    entries = [
        {**row, "label": "b" if row["label"] == "b" else ("\u00e9", "e\u0301")[number % 2]}
        for number, row in enumerate(rows())
    ]
    data = load_data(write(folder.parent / "labels.jsonl", as_jsonl(entries)))
    assert data.class_names == ("b", "\u00e9")
    assert np.bincount(np.concatenate([data.train.labels, data.test.labels])).tolist() == [8, 8]
