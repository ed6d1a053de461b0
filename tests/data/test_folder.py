from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from own_images import link, make_classes, save

from tinysight.data.listing import Listing
from tinysight.data.own import OwnData
from tinysight.data.source import list_images, load_data
from tinysight.errors import DataError, InvalidValueError, UnknownNameError
from tinysight.files import read_json, write_json
from tinysight.pixels import decode_image


def own(path: Path, **options: object) -> OwnData:
    data = load_data(path, **options)  # type: ignore[arg-type]
    assert isinstance(data, OwnData)
    return data


def kinds(listing: Listing) -> dict[str, str]:
    return {item.name: item.kind for item in listing.left_out}


def test_classes_are_folders_in_natural_order(tmp_path: Path) -> None:
    data = own(make_classes(tmp_path / "pictures", {"10": 5, "2": 5, "cat": 10}))
    assert data.class_names == ("2", "10", "cat")
    assert data.image_shape == (20, 16, 3)
    assert data.test_source == "cut"
    assert data.train.counts().tolist() == [4, 4, 8]
    assert data.test.counts().tolist() == [1, 1, 2]
    assert data.name == str((tmp_path / "pictures").resolve())


def test_pixels_and_labels_are_those_of_the_files(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 6, "b": 6}, size=(30, 40))
    data = own(folder, image_size=(12, 12))
    for split in (data.train, data.test):
        for pixels, label, source in zip(split.images, split.labels, split.sources, strict=True):
            assert source.split("/")[0] == data.class_names[label]
            np.testing.assert_array_equal(pixels, decode_image(folder / source, (12, 12, 3)))
    assert {*data.train.sources, *data.test.sources} == {f"{name}/{i}.png" for name in "ab" for i in range(6)}


def test_the_cut_is_seeded_and_stored(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 20, "b": 20})
    first, again, other = own(folder, seed=3), own(folder, seed=3), own(folder, seed=4)
    assert first.test.sources == again.test.sources != other.test.sources
    assert sorted([*first.indices["train"], *first.indices["test"]]) == list(range(40))
    names = [item.name for item in list_images(folder).items]
    assert first.test.sources == tuple(names[i] for i in first.indices["test"])
    assert len(own(folder, test_fraction=0.5).test) == 20


def test_settings_give_the_same_data_again(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 5, "b": 7}, size=(33, 21), mode="L")
    first = own(folder)
    assert first.settings["image_size"] == [33, 21]
    assert first.settings["channels"] == 1
    again = load_data(**first.settings)
    np.testing.assert_array_equal(first.train.images, again.train.images)
    assert first.test.sources == again.test.sources


def test_split_folders_are_matched_by_name(tmp_path: Path) -> None:
    # The same names in another spelling of the splits, and numbers whose order as text is another one.
    for split, count in (("Train", 4), ("valid", 2), ("test", 3)):
        make_classes(tmp_path / split, {"9": count, "10": count + 1}, seed=count)
    data = own(tmp_path)
    assert data.test_source == "own"
    assert data.layout == "split folders"
    assert data.class_names == data.test.class_names == ("9", "10")
    assert data.validation is not None
    assert [each.counts().tolist() for each in (data.train, data.validation, data.test)] == [[4, 5], [2, 3], [3, 4]]
    for split in (data.train, data.validation, data.test):
        assert all(source.split("/")[1] == split.class_names[label] for source, label in _pairs(split))


def _pairs(split: object) -> list[tuple[str, int]]:
    return list(zip(split.sources, split.labels, strict=True))  # type: ignore[attr-defined]


def test_train_and_validation_alone_get_a_test_split_from_train(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", {"a": 10, "b": 10})
    make_classes(tmp_path / "val", {"a": 3, "b": 3}, seed=50)
    data = own(tmp_path)
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 6, 4)
    assert all(source.startswith("train/") for source in data.test.sources)


def test_different_classes_in_splits_are_named(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", {"cat": 2, "dog": 2})
    make_classes(tmp_path / "test", {"cat": 2, "dgo": 2})
    with pytest.raises(DataError, match="test lacks 'dog'; test alone has 'dgo'"):
        load_data(tmp_path)


def test_a_class_whose_images_in_one_split_are_all_broken_is_missing_there(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", {"cat": 2, "dog": 2})
    make_classes(tmp_path / "test", {"cat": 2})
    (tmp_path / "test" / "dog").mkdir()
    (tmp_path / "test" / "dog" / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="test lacks 'dog'"):
        load_data(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    """Those of the folder and of its classes go into files of a run; images may be called as they like."""
    odd = os.fsdecode(b"caf\xe9")
    make_classes(tmp_path / "classes", {"cat": 4, odd: 4})
    with pytest.raises(DataError, match=r"the class caf\\udce9 in '.*' is not UTF-8: rename it"):
        load_data(tmp_path / "classes")
    make_classes(tmp_path / odd, {"cat": 4, "dog": 4})
    with pytest.raises(InvalidValueError, match=r"the folder name .*caf\\udce9 is not UTF-8"):
        load_data(tmp_path / odd)
    make_classes(tmp_path / "files", {"cat": 4, "dog": 4})
    (tmp_path / "files" / "cat" / f"{odd}.png").write_bytes(b"no picture")
    record = write_json(tmp_path / "data.json", own(tmp_path / "files").to_record())
    assert [each["path"] for each in read_json(record)["unreadable"]] == [f"cat/{odd}.png"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    data = own(make_classes(tmp_path / "vehicles", {"train": 4, "car": 4}))
    assert data.class_names == ("car", "train")


def test_splits_without_class_folders_are_refused(tmp_path: Path) -> None:
    make_classes(tmp_path, {"train": 4, "test": 4})
    with pytest.raises(DataError, match=r"holds images directly in test, train; .* test/CLASS"):
        load_data(tmp_path)


def test_splits_beside_other_folders_are_refused(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", {"a": 2, "b": 2})
    make_classes(tmp_path / "more", {"a": 2, "b": 2})
    with pytest.raises(DataError, match=r"holds splits \(train\) beside other folders \(more\)"):
        load_data(tmp_path)


def test_one_split_twice_is_refused(tmp_path: Path) -> None:
    for name in ("train", "val", "validation"):
        make_classes(tmp_path / name, {"a": 2, "b": 2})
    with pytest.raises(DataError, match="holds a split twice: train, val, validation"):
        load_data(tmp_path)


def test_splits_need_training_images(tmp_path: Path) -> None:
    make_classes(tmp_path / "val", {"a": 2, "b": 2})
    make_classes(tmp_path / "test", {"a": 2, "b": 2})
    with pytest.raises(DataError, match="validation, test but no training images"):
        load_data(tmp_path)


def test_folders_below_a_class_belong_to_it(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 2, "b": 4})
    make_classes(tmp_path / "a", {"monday": 2})
    assert own(tmp_path).class_names == ("a", "b")
    assert len(list_images(tmp_path).items) == 8


def test_hidden_system_and_other_files_are_left_out(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 3, "b": 3})
    hidden = [".DS_Store", "a/.hidden.png", "a/Thumbs.db", "b/desktop.ini", "b/notes.txt", "readme.md"]
    for name in hidden:
        (folder / name).write_bytes(b"x")
    make_classes(folder, {".ipynb_checkpoints": 1, "__MACOSX": 1})
    make_classes(folder / "a", {".ipynb_checkpoints": 1})
    save(folder / "stray.png", "s", 1)
    (folder / "empty").mkdir()
    listing = list_images(folder)
    assert len(listing.items) == 6
    assert kinds(listing) == {
        ".DS_Store": "hidden",
        "a/.hidden.png": "hidden",
        "a/Thumbs.db": "system",
        "b/desktop.ini": "system",
        "b/notes.txt": "other file",
        "readme.md": "other file",
        ".ipynb_checkpoints": "hidden",
        "__MACOSX": "system",
        "a/.ipynb_checkpoints": "hidden",
        "stray.png": "stray",
        "empty": "empty class",
    }
    assert own(folder).class_names == ("a", "b")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_that_lead_out_are_left_out(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 3, "b": 3})
    outside = save(tmp_path / "outside.png", "o", 1)
    elsewhere = make_classes(tmp_path / "elsewhere", {"c": 2})
    link(outside, folder / "a" / "out.png")
    link(elsewhere / "c", folder / "c")
    link(folder / "a", folder / "again")
    link("nothing.png", folder / "a" / "nothing.png")
    link(folder / "b" / "0.png", folder / "a" / "inside.png")
    link("..", folder / "a" / "up")
    listing = list_images(folder)
    assert kinds(listing) == {
        "a/nothing.png": "unreadable",
        "a/out.png": "link out",
        "a/up": "link",
        "again": "link",
        "c": "link out",
    }
    assert "a/inside.png" in {item.name for item in listing.items}
    assert str(outside.resolve()) in next(item.reason for item in listing.left_out if item.name == "a/out.png")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_nothing_but_links_out_is_said(tmp_path: Path) -> None:
    elsewhere = make_classes(tmp_path / "elsewhere", {"a": 2, "b": 2})
    (tmp_path / "pictures" / "b").mkdir(parents=True)
    link(elsewhere / "a", tmp_path / "pictures" / "a")
    link(elsewhere / "b" / "0.png", tmp_path / "pictures" / "b" / "0.png")
    with pytest.raises(DataError, match=r"found 1 folders, .*, 2 links out of the folder, .* copy here .*; expected"):
        load_data(tmp_path / "pictures")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 3, "b": 3})
    assert len(list_images(link(folder, tmp_path / "linked")).items) == 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 3, "b": 3})
    os.mkfifo(folder / "a" / "pipe.png")
    assert kinds(list_images(folder)) == {"a/pipe.png": "other file"}


def test_unreadable_files_are_named_and_kept(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "pictures", {"a": 6, "b": 6})
    whole = (folder / "a" / "0.png").read_bytes()
    broken = {"a/cut.png": whole[:60], "b/empty.jpg": b"", "b/text.png": b"hello", "b/tiff.png": b"II*\0" + bytes(40)}
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    data = own(folder)
    reasons = {item.name: item.reason for item in data.left_out}
    assert reasons.keys() == broken.keys()
    assert all(item.kind == "unreadable" for item in data.left_out)
    assert "is TIFF, which is not supported" in reasons["b/tiff.png"]
    assert "is empty" in reasons["b/empty.jpg"]
    assert {name: (folder / name).read_bytes() for name in broken} == broken
    assert len(data.train) + len(data.test) == 12
    assert "4 unreadable left out" in data.origin
    assert [entry["path"] for entry in data.to_record()["unreadable"]] == sorted(broken)


def test_formats_and_modes_are_read_by_content(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for number, (mode, ending) in enumerate(
        [
            ("RGB", ".jpg"),
            ("L", ".png"),
            ("RGBA", ".png"),
            ("P", ".gif"),
            ("RGB", ".webp"),
            ("1", ".bmp"),
            ("LA", ".png"),
        ]
    ):
        for name in "ab":
            save(folder / name / f"{number}{ending}", name, number, mode=mode)
    (folder / "a" / "0.jpg").rename(folder / "a" / "0.PNG")
    data = own(folder)
    assert len(data.train) + len(data.test) == 14
    assert data.left_out == ()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder.mkdir(), "found 0 folders, 0 images beside them and 0 other files"),
        (lambda folder: save(folder / "a.png", "a", 1), "found 0 folders, 1 images beside them"),
        (lambda folder: make_classes(folder, {"cat": 3}), "holds one class, 'cat' with 3 images"),
        (
            lambda folder: make_classes(folder / "inner", {"a": 3, "b": 3}),
            "should it be '.*inner', which holds folders",
        ),
        (lambda folder: make_classes(folder, {"a": 0, "b": 0}), "found 2 folders, 0 images"),
        (lambda folder: make_classes(folder, {"a": 3, "b": 1}), "the class 'b' has a single image"),
        (lambda folder: make_classes(folder, {"a": 3, "b": 0}), "holds one class, 'a' with 3 images"),
    ],
)
def test_what_cannot_be_trained_on_is_said(tmp_path: Path, make: object, text: str) -> None:
    folder = tmp_path / "pictures"
    make(folder)  # type: ignore[operator]
    with pytest.raises(DataError, match=text):
        load_data(folder)


def test_nothing_but_broken_images_is_said(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"none of its 2 images can be read; the first, a/0\.png, is damaged"):
        load_data(tmp_path)


def test_a_folder_of_one_image_and_its_labels_says_to_name_the_file(tmp_path: Path) -> None:
    save(tmp_path / "a.png", "a", 1)
    (tmp_path / "labels.csv").write_text("path,label\na.png,a\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"to use the labels in labels\.csv, name that file"):
        load_data(tmp_path)


def test_a_name_that_is_nothing_gets_the_closest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownNameError, match="unknown data set or folder 'cifr10': did you mean 'cifar10'"):
        load_data("cifr10")
    with pytest.raises(DataError, match=r"no data at '\./cifar10'"):
        load_data("./cifar10")
    with pytest.raises(DataError, match="no such folder or file"):
        load_data("x/" * 5000)
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"notes\.txt' is no data that can be read"):
        load_data("notes.txt")


def test_a_name_of_the_catalogue_takes_no_options_of_own_images() -> None:
    assert load_data("mnist-5k").name == "mnist-5k"
    with pytest.raises(InvalidValueError, match="mnist-5k is taken as it is"):
        load_data("mnist-5k", image_size=(16, 16))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"image_size": (4, 32)}, "image size is 4x32"),
        ({"image_size": (32, 257)}, "image size is 32x257"),
        ({"channels": 2}, "channels is 2"),
        ({"test_fraction": 1.0}, "test fraction is 1.0"),
        ({"seed": -1}, "seed -1"),
        ({"group_by": "person"}, "names a column, which a folder has not"),
        ({"group_by": "(a)(b)"}, "has 2 groups"),
        ({"group_by": "(a"}, "is no regular expression"),
        ({"group_by": "^x(.)"}, "is not found in 6 of 6 file names, as in 'a/0.png'"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, object], text: str) -> None:
    make_classes(tmp_path, {"a": 3, "b": 3})
    with pytest.raises((InvalidValueError, DataError)) as caught:
        load_data(tmp_path, **options)  # type: ignore[arg-type]
    assert text in str(caught.value)


def test_groups_in_file_names_stay_on_one_side(tmp_path: Path) -> None:
    for name in "ab":
        for person in range(10):
            for shot in range(3):
                save(tmp_path / name / f"p{person}_{shot}.png", name, 100 * person + shot)
    data = own(tmp_path, group_by=r"^(p\d+)_")

    def people(sources: tuple[str, ...]) -> set[str]:
        return {source.split("/")[1].split("_")[0] for source in sources}

    assert not people(data.train.sources) & people(data.test.sources)
    assert len(data.test) == 12
    assert data.train_groups is not None
    assert len(np.unique(data.train_groups)) == 8


def test_splits_of_ones_own_that_divide_a_group_are_refused(tmp_path: Path) -> None:
    for split, people in (("train", "123"), ("test", "34")):
        for name in "ab":
            for person in people:
                save(tmp_path / split / name / f"p{person}.png", name, int(person))
    with pytest.raises(DataError, match="groups in both train and test: 1, as 'p3'"):
        load_data(tmp_path, group_by=r"^(p\d)")
