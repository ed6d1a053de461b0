"""What a training says of the own images that it does not use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from own_images import make_classes, save
from small_data import small_data

import tinysight
from tinysight.data.source import load_data
from tinysight.jobs.inputs import left_out_words


def break_files(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"broken{number}.png").write_bytes(b"no picture")


def test_nothing_left_out(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 3, "b": 3})
    (folder / "a" / ".hidden").touch()
    (folder / "a" / "notes.txt").touch()
    assert left_out_words(load_data(folder)) == ""
    assert left_out_words(small_data()) == ""


def test_files_and_whole_classes(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "my pictures", {"a": 3, "b": 3})
    break_files(folder / "a", 1)
    break_files(folder / "heic", 1200)
    save(folder / "lone.png", "x", 1)
    (folder / "tiff").mkdir()
    (folder / "tiff" / "0.tif").touch()
    assert left_out_words(load_data(folder)) == (
        "left out: 1,201 unreadable, 1 in no class folder, classes of which no image can be read: 'heic', 'tiff';"
        f" `tinysight data check '{folder}'` lists them"
    )


def test_an_empty_class_of_two_splits_is_named_once(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder = make_classes(tmp_path / "pictures" / split, {"a": 3, "b": 3})
        (folder / "notes").mkdir()
    words = left_out_words(load_data(tmp_path / "pictures"))
    assert words.startswith("left out: classes of which no image can be read: 'notes'; `")


def test_rows_whose_file_is_missing(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 3, "b": 3})
    rows = [f"{name}/{number}.png,{name}" for name in "ab" for number in range(5)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    assert left_out_words(load_data(tmp_path / "labels.csv")).startswith("left out: 4 missing; `tinysight data check ")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_training_says_it_after_its_headline(
    quiet: bool, keras_module: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 5, "b": 5})
    break_files(folder / "a", 2)
    capfd.readouterr()
    tinysight.train("mnist-softmax", data=folder, out=tmp_path / "run", quiet=quiet, epochs=1, report=False)
    lines = [line for line in capfd.readouterr().err.splitlines() if "left out:" in line or " on " in line]
    assert [line.split(":")[0] for line in lines[1:2]] == ([] if quiet else ["left out"])
