"""`tinysight tutorials`: two of them, for real; and that the same seed gives the same bits in another process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whole_commands import Trained, run_command

from tinysight.errors import UnknownNameError
from tinysight.runs import Run

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("tutorials")
    done = run_command(
        "tutorials", "--set", "data=mnist-5k", "--set", "epochs=1", "--only", "mnist-softmax", "--only", "mnist-cnn",
        "--out", "out", "--quiet", "--json", cwd=folder,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return folder, json.loads(done.stdout)


def test_records(table: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, (softmax, cnn) = table
    assert [softmax["recipe"], cnn["recipe"]] == ["mnist-softmax", "mnist-cnn"]
    assert [softmax["parameters"], cnn["parameters"]] == [7_850, 93_322]
    assert [softmax["published_accuracy"], cnn["published_accuracy"]] == [0.9247, 0.9902]
    for record in (softmax, cnn):
        assert (record["seeds"], record["std_accuracy"], record["data"]) == (1, None, "mnist-5k")
        assert record["seconds"] > 0
        (run,) = record["runs"]
        assert (
            json.loads(Run(folder / run).finished_marker.read_text(encoding="utf-8"))["test_accuracy"]
            == (record["mean_accuracy"])
        )


def test_the_table_is_written(table: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, records = table
    assert json.loads((folder / "out" / "tutorials.json").read_text(encoding="utf-8")) == records
    lines = (folder / "out" / "tutorials.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("| mnist-cnn | mnist-5k | 93,322 | 99.02% | ")


def test_the_same_seed_gives_the_same_bits(table: tuple[Path, list[dict[str, Any]]], trained: Trained) -> None:
    """Its own process, command and folder; the same recipe, data and seed as the shared run."""
    from tinysight.evaluation.predictions import read_predictions

    folder, (_, cnn) = table
    (again,) = (Run(folder / name) for name in cnn["runs"])
    ours, theirs = (read_predictions(run.predictions)["test"].probabilities for run in (again, trained.run))
    np.testing.assert_array_equal(ours, theirs)
    assert keras_weights(again) == keras_weights(trained.run)
    assert again.history.read_text().split(",")[:6] == trained.run.history.read_text().split(",")[:6]


def keras_weights(run: Run) -> dict[str, bytes]:
    import io
    import zipfile

    import h5py

    found: dict[str, bytes] = {}
    with zipfile.ZipFile(run.keras_model) as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
        file.visititems(lambda name, item: found.update({name: item[()].tobytes()} if hasattr(item, "dtype") else {}))
    assert len(found) >= 8
    return found


def test_an_existing_folder_is_refused(command: Command, offline: Path) -> None:
    (offline / "out").mkdir()
    status, out, err = command("tutorials", "--out", "out")
    assert (status, out) == (2, "")
    assert err == "tinysight: out exists already; a run is never overwritten: name another folder with --out\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "mnist-cn"), "did you mean 'mnist-cnn'?"),
        (("--set", "epoch=1"), "did you mean 'epochs'?"),
        (("--set", "seed=1"), "--seeds"),
        (("--seeds", "0"), "0 is not in the range"),
    ],
)
def test_refused_before_anything_trains(words: tuple[str, ...], message: str, command: Command, offline: Path) -> None:
    status, out, err = command("tutorials", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert not (offline / "runs").exists()


def test_spread_over_seeds() -> None:
    from tinysight.verbs.tutorials import _record, markdown

    summaries = [
        {"test_accuracy": accuracy, "data": "mnist", "parameters": 7850, "seconds": seconds, "run": "r"}
        for accuracy, seconds in ((0.90, 1.0), (0.92, 2.0), (0.94, 9.0))
    ]
    record = _record("mnist-softmax", None, summaries)
    assert record["mean_accuracy"] == pytest.approx(0.92)
    assert record["std_accuracy"] == pytest.approx(0.02)
    assert (record["seconds"], record["seeds"]) == (2.0, 3)
    assert markdown([record]).splitlines()[2] == "| mnist-softmax | mnist | 7,850 | - | 92.00% | 2.00% | 3 | 2 |"


def test_a_training_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, offline: Path) -> None:
    from tinysight.errors import TrainingStoppedError
    from tinysight.verbs.tutorials import tutorials

    with pytest.raises(TrainingStoppedError, match="`tinysight train mnist-cnn` ended with status 2"):
        tutorials(only=["mnist-cnn"], out=offline / "out")
    with pytest.raises(UnknownNameError):
        tutorials(only=["nothing"], out=offline / "out2")
