"""Folders as `datasets` 5 writes them with `save_to_disk`: the files here are laid out alike, with pyarrow alone."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from own_images import draw

from tinysight.data.own import OwnData
from tinysight.data.source import list_images, load_data
from tinysight.errors import DataError, InvalidValueError

pyarrow = pytest.importorskip("pyarrow")

NAMES = ["10", "2", "cat"]
FEATURES: dict[str, Any] = {
    "img": {"_type": "Image"},
    "label": {"names": NAMES, "_type": "ClassLabel"},
    "who": {"dtype": "string", "_type": "Value"},
}


def png(label: int, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw(NAMES[label % 3][0], seed).save(buffer, "PNG")
    return buffer.getvalue()


def write_dataset(
    folder: Path, labels: list[Any], features: dict[str, Any] = FEATURES, num_files: int = 1, seed: int = 0
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"data-{number:05d}-of-{num_files:05d}.arrow" for number in range(num_files)]
    for number, file in enumerate(files):
        own = range(number, len(labels), num_files)
        cells = [{"bytes": png(i, seed + i), "path": None} for i in own]
        table = pyarrow.table(
            {
                "img": pyarrow.array(cells, pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
                "label": pyarrow.array([labels[i] for i in own]),
                "who": pyarrow.array([f"p{i // 3}" for i in own]),
            }
        )
        with pyarrow.ipc.new_stream(str(folder / file), table.schema) as stream:
            stream.write_table(table, max_chunksize=4)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file} for file in files]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def test_a_saved_data_set_keeps_its_class_order(tmp_path: Path) -> None:
    data = load_data(write_dataset(tmp_path / "d", [0, 1, 2] * 10, num_files=3))
    assert isinstance(data, OwnData)
    assert data.class_names == ("10", "2", "cat")
    assert data.image_shape == (20, 16, 3)
    assert data.layout == "Hugging Face folder"
    assert (len(data.train), len(data.test)) == (24, 6)
    assert data.train.sources[0].split("#")[0] == "data-00000-of-00003.arrow"


def test_saved_splits_are_used(tmp_path: Path) -> None:
    write_dataset(tmp_path / "d" / "train", [0, 1, 2] * 5)
    write_dataset(tmp_path / "d" / "test", [0, 1, 2] * 2, seed=100)
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    data = load_data(tmp_path / "d")
    assert (len(data.train), len(data.test)) == (15, 6)
    assert data.test.sources[0] == "test/data-00000-of-00001.arrow#0"


def test_groups_are_a_column(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", [0, 1, 2] * 10)
    data = load_data(folder, group_by="who")
    assert isinstance(data, OwnData)
    assert data.train_groups is not None
    assert len(data.test) == 6
    with pytest.raises(InvalidValueError, match="no column 'nobody' to group by; found: img, label, who"):
        load_data(folder, group_by="nobody")


def test_rows_without_a_class_or_an_image_are_left_out(tmp_path: Path) -> None:
    listing = list_images(write_dataset(tmp_path / "d", [0, 1, -1, None, 7] * 4))
    assert len(listing.items) == 8
    assert {item.reason for item in listing.left_out} == {
        f"has {label} as label, which is no class" for label in (-1, None, 7)
    }


@pytest.mark.parametrize(
    ("features", "text"),
    [
        ({"img": {"_type": "Image"}}, "expected one of type ClassLabel, or one called label"),
        ({"img": {"_type": "Value"}, "label": FEATURES["label"]}, "has 0 columns of type Image among img, label"),
        ({**FEATURES, "label": {"_type": "Value"}, "more": FEATURES["label"]}, "lacks the column more"),
    ],
)
def test_tables_of_something_else_are_refused(tmp_path: Path, features: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        load_data(write_dataset(tmp_path / "d", [0, 1] * 4, features))


def test_damage_is_said(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "d", [0, 1] * 4)
    (folder / "data-00000-of-00001.arrow").write_bytes(b"\xff" * 50)
    with pytest.raises(DataError, match=r"\.arrow' is damaged or missing"):
        load_data(folder)
    (folder / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(DataError, match=r"\.arrow' is damaged or missing"):
        load_data(folder)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "../../x.arrow"}]}')
    with pytest.raises(DataError, match="which leaves the folder"):
        load_data(folder)
    (folder / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json' is damaged or missing"):
        load_data(folder)


def test_without_pyarrow_the_text_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_dataset(tmp_path / "d", [0, 1] * 4)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.ipc", None)
    with pytest.raises(DataError, match="run `pip install pyarrow`"):
        load_data(folder)
