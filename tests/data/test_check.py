from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_images import draw, link, make_classes, save

from tinysight.errors import DataError, InvalidValueError
from tinysight.verbs.data_check import check_data, write_page


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tinysight", "data", "check", *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip


def findings(path: Path, **options: Any) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in check_data(path, **options).record["findings"]}


def paths(finding: dict[str, Any]) -> list[list[str]]:
    return [entry["paths"] for entry in finding["entries"]]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "pictures", {"a": 25, "b": 30})


def test_a_clean_folder_has_no_findings(clean: Path) -> None:
    result = run(clean, "--json")
    record = json.loads(result.stdout)
    assert result.returncode == 0
    assert record["findings"] == []
    assert record["classes"] == [
        {"name": "a", "num_images": 25, "splits": {"train": 25}},
        {"name": "b", "num_images": 30, "splits": {"train": 30}},
    ]
    assert record["sizes"] == [{"height": 20, "width": 16, "num_images": 55}]
    assert record["modes"] == [{"mode": "RGB", "num_images": 55}]
    assert record["formats"] == [{"format": "PNG", "num_images": 55}]
    assert (record["image_size"], record["channels"], record["num_images"]) == ([20, 16], 3, 55)
    text = run(clean)
    assert text.returncode == 0
    assert "55 images in 2 classes; proposed input 20x16, colour" in text.stdout
    assert "problems: 0, warnings: 0" in text.stdout


def test_every_planted_fault_is_found(clean: Path) -> None:
    shutil.copy(clean / "a" / "0.png", clean / "b" / "twice.png")
    shutil.copy(clean / "b" / "1.png", clean / "b" / "again.png")
    (clean / "a" / "broken.png").write_bytes(b"nothing")
    (clean / ".DS_Store").write_bytes(b"")
    (clean / "a" / "Thumbs.db").write_bytes(b"")
    (clean / "b" / "notes.txt").write_bytes(b"")
    (clean / "empty").mkdir()
    save(clean / "stray.png", "s", 999)
    save(clean / "a" / "grey.jpg", "a", 998, mode="L")
    (clean / "a" / "grey.jpg").rename(clean / "a" / "grey.png")
    save(clean / "b" / "tiny.png", "b", 997, size=(6, 40))
    save(clean / "lone" / "0.png", "l", 996)
    make_classes(clean, {"few": 5}, seed=5000)
    result = run(clean, "--json")
    record = json.loads(result.stdout)
    found = {each["kind"]: each for each in record["findings"]}
    assert result.returncode == 1
    assert (record["num_problems"], record["num_unreadable"]) == (2, 1)
    assert {kind: each["severity"] for kind, each in found.items()} == {
        "single image": "problem",
        "one image, two classes": "problem",
        "few images": "warning",
        "imbalance": "warning",
        "copies": "warning",
        "wrong ending": "warning",
        "tiny": "warning",
        "unreadable": "warning",
        "stray": "warning",
        "empty class": "warning",
        "stretched": "note",
        "other file": "note",
        "hidden": "note",
        "system": "note",
    }
    assert paths(found["one image, two classes"]) == [["a/0.png", "b/twice.png"]]
    assert found["one image, two classes"]["entries"][0]["classes"] == ["a", "b"]
    assert sorted(paths(found["copies"])) == [["a/0.png", "b/twice.png"], ["b/1.png", "b/again.png"]]
    assert paths(found["wrong ending"]) == [["a/grey.png"]]
    assert paths(found["unreadable"]) == [["a/broken.png"]]
    assert paths(found["few images"]) == [["few"]]
    assert paths(found["single image"]) == [["lone"]]
    assert {each["mode"] for each in record["modes"]} == {"RGB", "L"}
    assert (clean / "a" / "broken.png").read_bytes() == b"nothing"
    text = run(clean).stdout
    assert "problem: images that are in more than one class: 1\n  a/0.png (a), b/twice.png (b)" in text
    assert "a/broken.png: is not an image" in text


def test_near_duplicates_are_found(tmp_path: Path) -> None:
    # Pictures with large features, as noise does not survive JPEG.
    folder = tmp_path / "pictures"
    for number in range(24):
        for name in "ab":
            (folder / name).mkdir(parents=True, exist_ok=True)
            draw(name, number + 100 * ord(name), (5, 5)).resize((32, 32)).save(folder / name / f"{number}.png")
    draw("a", 3 + 100 * ord("a"), (5, 5)).resize((32, 32)).save(folder / "a" / "saved.jpg", quality=90)
    draw("b", 4 + 100 * ord("b"), (5, 5)).resize((64, 64)).save(folder / "a" / "larger.png")
    found = findings(folder)
    assert sorted(paths(found["similar"])) == [["a/3.png", "a/saved.jpg"], ["a/larger.png", "b/4.png"]]
    assert paths(found["similar, two classes"]) == [["a/larger.png", "b/4.png"]]
    assert 0.99 <= found["similar"]["entries"][0]["similarity"] <= 1
    assert "copies" not in found


def test_splits_are_compared(tmp_path: Path) -> None:
    make_classes(tmp_path / "train", {"cat": 22, "dog": 22})
    make_classes(tmp_path / "test", {"cat": 22, "bird": 22}, seed=7000)
    shutil.copy(tmp_path / "train" / "cat" / "3.png", tmp_path / "test" / "cat" / "same.png")
    found = findings(tmp_path)
    missing = {(entry["paths"][0], entry["note"]) for entry in found["missing class"]["entries"]}
    assert missing == {("bird", "has no image in train, 22 elsewhere"), ("dog", "has no image in test, 22 elsewhere")}
    assert paths(found["copies across splits"]) == [["train/cat/3.png", "test/cat/same.png"]]
    assert found["copies across splits"]["severity"] == "problem"
    assert "copies" not in found


def test_groups_across_splits_are_found(tmp_path: Path) -> None:
    for split, people in (("train", range(24)), ("test", range(23, 46))):
        for name in "ab":
            for person in people:
                save(tmp_path / split / name / f"p{person}_{split}.png", name, 1000 * ord(split[1]) + person)
    found = findings(tmp_path, group_by=r"^(p\d+)_")
    assert found["groups across splits"]["entries"] == [{"paths": ["p23"], "note": "is in test, train"}]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_that_lead_out_are_found(clean: Path, tmp_path: Path) -> None:
    link(save(tmp_path / "outside.png", "o", 1), clean / "a" / "out.png")
    assert paths(findings(clean)["link out"]) == [["a/out.png"]]


def test_an_archive_is_checked_too(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8), np.uint8)
    images[7] = images[4]
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(50) % 2)
    found = findings(tmp_path / "d.npz")
    assert paths(found["one image, two classes"]) == [["image 4", "image 7"]]
    np.savez(tmp_path / "s.npz", x_train=images, y_train=np.arange(50) % 2, x_test=images[:5] + 1, y_test=[0] * 5)
    assert paths(findings(tmp_path / "s.npz")["missing class"]) == [["1"]]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder.mkdir(), "holds no image"),
        (lambda folder: make_classes(folder, {"cat": 3}), "holds one class, 'cat' with 3 images"),
        (lambda folder: [(folder / n).mkdir(parents=True) or (folder / n / "0.png").write_bytes(b"x") for n in "ab"],
         "none of its 2 images can be read"),
        (lambda folder: (make_classes(folder, {"a": 3, "b": 0}), (folder / "b" / "0.png").write_bytes(b"x")),
         "holds one class that can be read, 'a' with 3 images"),
        (lambda folder: None, "no such folder or file"),
    ],
)  # fmt: skip
def test_what_is_no_data_at_all_ends_with_2(tmp_path: Path, make: Any, text: str) -> None:
    make(tmp_path / "pictures")
    with pytest.raises(DataError, match=text):
        check_data(tmp_path / "pictures")


def test_no_data_is_one_line_and_exit_status_2(tmp_path: Path) -> None:
    result = run(make_classes(tmp_path / "pictures", {"cat": 3}), "--json")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("tinysight: '")
    assert result.stderr.count("\n") == 1


def test_the_page_holds_pictures_and_nothing_from_elsewhere(clean: Path, tmp_path: Path) -> None:
    make_classes(clean, {"&'b": 22})
    shutil.copy(clean / "a" / "0.png", clean / "b" / "&i.png")
    page = tmp_path / "page.html"
    result = run(clean, "--html", page)
    assert result.returncode == 1
    assert str(page) in result.stderr
    html = page.read_text(encoding="utf-8")
    assert html.count('src="data:image/png;base64,') == 3 * 6 + 2 * 2
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "<script" not in html
    assert "b/&i.png" not in html
    assert "&amp;&#39;b" in html
    assert "images that are in more than one class: 1" in html
    # Its own page is written again; a person's file is not.
    write_page(check_data(clean), page)
    mine = tmp_path / "mine.html"
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidValueError, match="exists and is no page of ours"):
        write_page(check_data(clean), mine)
    assert mine.read_text(encoding="utf-8") == "mine"
    with pytest.raises(InvalidValueError, match="exists and is no page of ours"):
        write_page(check_data(clean), tmp_path)


def test_checking_changes_nothing(clean: Path) -> None:
    before = {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in clean.rglob("*")}
    assert run(clean, "--json").returncode == 0
    assert {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in clean.rglob("*")} == before
    assert sorted(os.listdir(clean)) == ["a", "b"]
