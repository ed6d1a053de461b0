"""A person's images that changed after a run was made on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_images import make_classes, save

from tinysight.data import source
from tinysight.data.own import OwnData
from tinysight.data.source import load_again, load_data
from tinysight.errors import DataError
from tinysight.export.held_out import load_held_out
from tinysight.files import write_json
from tinysight.report.content import load_images
from tinysight.runs import Run
from tinysight.stored import StoredImages
from tinysight.verbs.evaluate import evaluate

CHANGED = (
    r"/own' has changed since the run was made, so its test images would not be those that were held out: restore it,"
    r" or score other images, in a folder of their own, with `tinysight evaluate RUN --data FOLDER`$"
)


def describe(path: Path) -> dict[str, Any]:
    """What a run on these images keeps of them."""
    data = load_data(path)
    assert isinstance(data, OwnData)
    return {
        "name": data.name,
        "class_names": list(data.class_names),
        "image_shape": list(data.image_shape),
        "own": json.loads(json.dumps(data.to_record())),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "own", {"cat": 10, "dog": 10})


def test_what_did_not_change_is_loaded_again(folder: Path) -> None:
    described = describe(folder)
    assert len(load_again(described).test) == 4
    (folder / "notes.txt").write_text("no image")
    load_again(described)


def test_another_picture_moves_the_cut(folder: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run.recipe.touch()
    write_json(run.data, describe(folder))
    run.finish({})
    save(folder / "cat" / "00.png", "c", 77)
    with pytest.raises(DataError, match=CHANGED):
        evaluate(run.folder)
    with pytest.raises(DataError, match="has changed since the run was made"):
        load_held_out(run)


def test_other_pixels_and_other_names(folder: Path) -> None:
    described = describe(folder)
    for path in folder.glob("*/*.png"):
        path.rename(path.with_stem(f"1{path.stem}"))
    with pytest.raises(DataError, match=CHANGED):
        load_again(described, splits=("test",))
    for path in folder.glob("*/*.png"):
        path.rename(path.with_stem(path.stem[1:]))
    load_again(described)
    for path in folder.glob("*/*.png"):
        save(path, "x", 5)
    with pytest.raises(DataError, match=CHANGED):
        load_again(described, splits=("test",))


def test_other_pixels_of_another_pillow_are_no_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = describe(folder)
    monkeypatch.setattr("PIL.__version__", "1.0")
    save(folder / "cat" / "0.png", "x", 5)
    load_again(described)


def test_a_test_split_of_its_own_outlives_other_training_images(tmp_path: Path) -> None:
    for split in ("train", "test"):
        make_classes(tmp_path / "own" / split, {"cat": 4, "dog": 4})
    described = describe(tmp_path / "own")
    save(tmp_path / "own" / "train" / "cat" / "new.png", "c", 77)
    assert len(load_again(described, splits=("test",)).test) == 8
    with pytest.raises(DataError, match="so its train images would not be those that were used"):
        load_again(described)


def test_images_on_disk_go_by_their_names(folder: Path, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "CACHE_FROM_IMAGES", 1)
    described = describe(folder)
    assert {kept["pixels"] for kept in described["own"]["digests"].values()} == {None}
    again = load_again(described)
    assert isinstance(again.test.images, StoredImages)
    save(folder / "dog" / "00.png", "d", 77)
    with pytest.raises(DataError, match="has changed since the run was made"):
        load_again(described)


def test_rows_of_an_archive(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "own", images=images, labels=np.arange(20) % 2)
    described = describe(tmp_path / "own.npz")
    load_again(described)
    np.savez(tmp_path / "own", images=images[::-1], labels=np.arange(20) % 2)
    with pytest.raises(DataError, match="has changed since the run was made"):
        load_again(described)


def test_runs_without_digests_go_on(folder: Path) -> None:
    described = describe(folder)
    del described["own"]["digests"]
    save(folder / "cat" / "00.png", "c", 77)
    assert len(load_again(described).train) == 17


@pytest.mark.parametrize("name", ["own", "own.npz", "own.csv"])
def test_a_moved_place_is_named_and_checked(name: str, folder: Path, offline: Path) -> None:
    data = load_data(folder)
    np.savez(offline / "own.npz", images=data.train.images, labels=data.train.labels)
    rows = [f"own/{path},{path[:3]}" for path in data.train.sources]
    (offline / "own.csv").write_text("\n".join(["path,label", *rows]))
    described = describe(offline / name)
    moved = offline / "elsewhere" / name
    moved.parent.mkdir()
    (offline / name).rename(moved)
    if name == "own.csv":
        folder.rename(moved.parent / "own")
    with pytest.raises(DataError, match=r"no such folder or file; --data-dir says where it lies now$"):
        load_again(described)
    assert load_again(described, f"elsewhere/{name}").name == str(moved)
    run = Run(offline / "run")
    run.folder.mkdir()
    write_json(run.data, described)
    np.savez(run.splits, train=np.arange(4), validation=np.arange(0))
    assert len(load_held_out(run, moved).test) > 1
    make_classes(offline / "other", {"cat": 10, "dog": 10}, seed=5)
    with pytest.raises(DataError, match="/other' has changed since the run was made"):
        load_again(described, "other")


def test_the_folder_of_archives_is_no_place_of_own_images(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINYSIGHT_DATA", str(tmp_path))
    described = describe(folder)
    assert load_again(described, str(tmp_path)).name == str(folder)


def test_a_report_takes_it_where_the_old_place_is_gone(folder: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    write_json(run.data, describe(folder))
    archives = tmp_path / "archives"
    archives.mkdir()
    assert load_images(run, archives)[1] == ""
    folder.rename(tmp_path / "moved")
    data, missing = load_images(run, tmp_path / "moved")
    assert (data is not None, missing) == (True, "")
    assert load_images(run)[1].endswith("; --data-dir says where it lies now")
