"""`tinysight data` as people type it: whole commands, in an empty folder, with no network to speak of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from public_layouts import cifar_file, idx_images, idx_labels, small_idx, write_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def tinysight(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # A proxy that nobody answers at keeps a test from ever leaving the machine.
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    clean = {name: value for name, value in os.environ.items() if name not in ("TINYSIGHT_DATA", "NO_PROXY")}
    return subprocess.run(
        [sys.executable, "-m", "tinysight", "data", *arguments],
        cwd=folder,
        env=clean | nowhere | {"TINYSIGHT_CACHE": str(folder.parent / "cache")} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def error_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    *_, last = result.stderr.splitlines()
    return last


def test_list_says_what_is_where(folder: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "data" / "mnist", small_idx())
    write_folder(tmp_path / "data" / "cifar-10-batches-bin", {"data_batch_1.bin": b""})
    result = tinysight(folder, "list", "--json", "--data-dir", str(tmp_path / "data"))
    records: dict[str, dict[str, Any]] = {record["name"]: record for record in json.loads(result.stdout)}
    assert list(records) == ["cifar10", "cifar100", "cifar100-coarse", "mnist", "fashion-mnist", "mnist-5k"]
    assert records["mnist"]["on_disk"] is True
    assert records["mnist"]["path"] == str(tmp_path / "data" / "mnist")
    assert records["cifar10"]["on_disk"] is False
    assert len(records["cifar10"]["missing_files"]) == 5
    assert (records["cifar100"]["on_disk"], records["cifar100"]["path"]) == (False, None)
    assert records["mnist-5k"]["on_disk"] is True
    assert records["cifar100"] | {"path": None} == {
        "name": "cifar100",
        "description": records["cifar100"]["description"],
        "num_train": 50_000,
        "num_test": 10_000,
        "image_shape": [32, 32, 3],
        "num_classes": 100,
        "on_disk": False,
        "path": None,
        "missing_files": [],
    }


def test_list_is_a_table_for_people(folder: Path) -> None:
    lines = tinysight(folder, "list").stdout.splitlines()
    assert lines[0].split() == ["name", "train", "/", "test", "image", "classes", "on", "disk"]
    assert lines[1].split() == ["cifar10", "50,000", "/", "10,000", "32x32x3", "10", "no"]
    assert len(lines) == 7


def test_show_counts_and_draws(folder: Path) -> None:
    result = tinysight(folder, "show", "mnist-5k")
    assert result.returncode == 0, result.stderr
    assert "mnist-5k, train split: 4,000 images of 28x28x1, values 0 to 255, 10 classes" in result.stdout
    assert result.stdout.count(" 400\n") == 10
    assert result.stdout.endswith("grid of 25 images (the first): mnist-5k-grid.png\n")
    with Image.open(folder / "mnist-5k-grid.png") as picture:
        assert picture.size == (1000, 1000)
    assert [each.name for each in folder.iterdir()] == ["mnist-5k-grid.png"]
    assert tinysight(folder, "show", "mnist-5k").returncode == 0  # its own grid is drawn anew


def test_show_as_json(folder: Path) -> None:
    arguments = [
        "show",
        "mnist-5k",
        "--json",
        "--split",
        "test",
        "--rows",
        "2",
        "--cols",
        "3",
        "--random",
        "--seed",
        "4",
    ]
    arguments += ["--output", "some.png"]
    first, second = (json.loads(tinysight(folder, *arguments).stdout) for _ in range(2))
    assert first == second
    assert len(set(first.pop("indices"))) == 6
    assert first.pop("origin").endswith("(counted per class)")
    assert first == {
        "name": "mnist-5k",
        "split": "test",
        "num_images": 1000,
        "image_shape": [28, 28, 1],
        "value_range": [0, 255],
        "classes": [{"name": str(digit), "num_images": 100} for digit in range(10)],
        "grid": "some.png",
    }


def test_show_of_a_full_size_folder(folder: Path, tmp_path: Path) -> None:
    """60,000 and 10,000 images under the public names: zeros, so that writing them is cheap."""

    def images(num_images: int) -> bytes:
        return idx_images(0)[:4] + np.array([num_images, 28, 28], ">u4").tobytes() + bytes(num_images * 784)

    files = {
        "train-images-idx3-ubyte": images(60_000),
        "train-labels-idx1-ubyte": idx_labels(60_000),
        "t10k-images-idx3-ubyte": images(10_000),
        "t10k-labels-idx1-ubyte": idx_labels(10_000),
    }
    write_folder(tmp_path / "data" / "fashion-mnist", files)
    result = tinysight(
        folder, "show", "fashion-mnist", "--rows", "1", "--cols", "2", TINYSIGHT_DATA=str(tmp_path / "data")
    )
    assert result.returncode == 0, result.stderr
    assert "fashion-mnist, train split: 60,000 images of 28x28x1, values 0 to 0, 10 classes" in result.stdout
    assert "Ankle boot   6,000" in result.stdout


def test_fetch_of_what_is_there(folder: Path) -> None:
    result = tinysight(folder, "fetch", "mnist-5k", "--json")
    record = json.loads(result.stdout)
    assert sorted(record) == ["downloaded", "name", "origin", "path"]
    assert (record["name"], record["downloaded"]) == ("mnist-5k", False)


def test_fetch_says_that_a_folder_hides_the_cache(folder: Path) -> None:
    result = tinysight(folder, "fetch", "mnist-5k", TINYSIGHT_DATA=str(folder))
    assert result.stdout.startswith("mnist-5k: already there: ")
    assert "TINYSIGHT_DATA is set" in result.stderr


def test_no_network_is_one_line(folder: Path) -> None:
    result = tinysight(folder, "fetch", "mnist")
    assert "cannot download train-images-idx3-ubyte.gz" in error_line(result)
    assert "the proxy does not answer" in result.stderr
    assert result.stderr.count("\n") == 1
    cache = folder.parent / "cache"
    assert [path.name for path in cache.rglob("*") if path.suffix != ".lock"] == ["data"]


WRONG: dict[str, tuple[list[str], str]] = {
    "set to fetch": (["fetch", "cifar-10"], "unknown data set 'cifar-10': did you mean 'cifar10'?"),
    "set to show": (["show", "minst"], "unknown data set 'minst': did you mean 'mnist'?"),
    "subcommand": (["lst"], "unknown command 'data lst': did you mean 'data list'?"),
    "split": (["show", "mnist-5k", "--split", "tset"], "split is 'tset'; expected one of: train, test"),
    "no such split": (["show", "mnist-5k", "--split", "validation"], "mnist-5k brings no validation split"),
    "rows": (["show", "mnist-5k", "--rows", "0"], "a grid of 0x5; expected at least 1x1"),
    "seed alone": (["show", "mnist-5k", "--seed", "1"], "--seed came without --random"),
    "negative seed": (["show", "mnist-5k", "--random", "--seed", "-1"], "seed is -1; expected 0 or more"),
    "ending": (["show", "mnist-5k", "--output", "a.jpg"], "'a.jpg' does not end in .png"),
    "folder": (["show", "cifar10", "--data-dir", "nowhere"], "'nowhere' holds no folder cifar-10-batches-bin"),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_one_line(command: Callable[..., tuple[int, str, str]], offline: Path, case: str) -> None:
    arguments, message = WRONG[case]
    status, out, err = command("data", *arguments)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"tinysight: {message}")
    assert list(offline.iterdir()) == []


@pytest.mark.parametrize("arguments", [["show"], ["fetch"], ["list", "--jsn"], ["show", "mnist-5k", "--rows", "x"]])
def test_wrong_options(command: Callable[..., tuple[int, str, str]], arguments: list[str]) -> None:
    status, out, err = command("data", *arguments)
    assert (status, out, "Error: " in err) == (2, "", True)


def test_a_truncated_file_is_named(folder: Path, tmp_path: Path) -> None:
    path = write_folder(tmp_path / "data" / "cifar-10-batches-bin", {"data_batch_1.bin": cifar_file(3)})
    line = error_line(tinysight(folder, "show", "cifar10", "--data-dir", str(tmp_path / "data")))
    assert line.startswith(f"tinysight: {path / 'data_batch_1.bin'} has 9219 bytes; expected 30730000")
    assert list(folder.iterdir()) == []


def test_another_picture_is_not_overwritten(folder: Path) -> None:
    Image.new("L", (3, 3)).save(folder / "mnist-5k-grid.png")
    before = (folder / "mnist-5k-grid.png").read_bytes()
    assert "exists and is no grid of ours" in error_line(tinysight(folder, "show", "mnist-5k"))
    assert (folder / "mnist-5k-grid.png").read_bytes() == before
