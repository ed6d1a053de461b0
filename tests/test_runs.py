"""The run folder, and what a finished training leaves in it."""

from __future__ import annotations

import csv
import json
import os
import sys
from datetime import datetime
from pathlib import Path

import pytest
from whole_commands import Trained

from tinysight.errors import InvalidValueError, RunError
from tinysight.recipe import load_recipe, to_toml
from tinysight.runs import Run, create_run, open_run, read_summary

NOON = datetime(2024, 5, 6, 12, 30, 15)


class TestCreate:
    def test_name_has_recipe_date_and_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert create_run(None, "day4", NOON).folder == Path("runs/day4-20240506-123015")

    def test_the_same_second_gives_another_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        names = [create_run(None, "a", NOON).name for _ in range(3)]
        assert names == ["a-20240506-123015", "a-20240506-123015-2", "a-20240506-123015-3"]

    @pytest.mark.parametrize(
        ("name", "stem"), [("my net/ü", "my-net"), ("../..", "run"), ("", "run"), (".hidden", "hidden")]
    )
    def test_odd_names_stay_below_runs(
        self, name: str, stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert create_run(None, name, NOON).folder == Path(f"runs/{stem}-20240506-123015")

    def test_an_empty_folder_is_taken(self, tmp_path: Path) -> None:
        assert create_run(tmp_path, "a").folder == tmp_path

    def test_a_filled_folder_is_refused_and_untouched(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("mine", encoding="utf-8")
        with pytest.raises(RunError, match="exists already; a run is never overwritten: name another folder"):
            create_run(tmp_path, "a")
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        path.write_text("mine", encoding="utf-8")
        with pytest.raises(RunError, match="exists already"):
            create_run(path, "a")
        with pytest.raises(RunError, match="cannot make the run folder"):
            create_run(path / "below", "a")
        assert path.read_text(encoding="utf-8") == "mine"


class TestOpen:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match=r"no run at '.*gone': expected the folder that `tinysight train` printed"):
            open_run(tmp_path / "gone")

    def test_no_run_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match=r"is no run folder: it has no recipe\.toml"):
            open_run(tmp_path)

    def test_unfinished(self, tmp_path: Path) -> None:
        run = Run(tmp_path)
        run.recipe.write_text("", encoding="utf-8")
        with pytest.raises(RunError, match="did not finish"):
            open_run(tmp_path)
        assert open_run(tmp_path, finished=False).folder == tmp_path
        run.finish({"run": "x"})
        assert read_summary(open_run(tmp_path)) == {"run": "x"}


class TestFinishedRun:
    """The folder that a whole `tinysight train` left."""

    def test_every_file_is_there(self, trained: Trained) -> None:
        run = trained.run
        for path in (
            run.recipe, run.environment, run.data, run.splits, run.history, run.metrics, run.predictions,
            run.keras_model, run.onnx_model, run.architecture_json, run.weights_h5, run.finished_marker,
        ):  # fmt: skip
            assert path.stat().st_size > 0, path
        drawn = {path.name for path in run.plots.glob("*.png")}
        assert {"accuracy.png", "loss.png", "confusion.png", "confusion_normalized.png", "samples.png"} <= drawn

    def test_nothing_half_written_is_left(self, trained: Trained) -> None:
        assert [path for path in trained.run.folder.rglob("*") if path.name.startswith(".")] == []

    def test_the_marker_is_the_last_file(self, trained: Trained) -> None:
        others = [path for path in trained.run.folder.rglob("*") if path.is_file()]
        others.remove(trained.run.finished_marker)
        assert max(path.stat().st_mtime_ns for path in others) <= trained.run.finished_marker.stat().st_mtime_ns

    def test_the_marker_holds_what_was_printed(self, trained: Trained) -> None:
        assert read_summary(trained.run) == trained.summary

    def test_the_recipe_as_used(self, trained: Trained) -> None:
        used = load_recipe(str(trained.run.recipe))
        shipped = load_recipe("mnist-cnn", epochs=1, data="mnist-5k")
        assert used == shipped.replace(parameters=93_322)
        assert to_toml(used) in trained.run.recipe.read_text(encoding="utf-8")

    def test_environment(self, trained: Trained) -> None:
        environment = json.loads(trained.run.environment.read_text(encoding="utf-8"))
        assert environment["backend"] == "tensorflow"
        assert environment["seed"] == 0
        assert environment["command"][:3] == ["tinysight", "train", "mnist-cnn"]
        assert environment["versions"].keys() >= {"tinysight", "keras", "numpy", "onnxruntime"}
        assert environment["devices"][0].startswith("cpu: ")
        assert environment["seconds"] == trained.summary["seconds"] > 0
        assert (environment["epochs_completed"], environment["interrupted"]) == (1, False)
        assert datetime.fromisoformat(environment["started"]).tzinfo is not None

    def test_data(self, trained: Trained) -> None:
        data = json.loads(trained.run.data.read_text(encoding="utf-8"))
        assert (data["name"], data["image_shape"], data["validation"]) == ("mnist-5k", [28, 28, 1], "none")
        assert (data["num_train"], data["num_validation"], data["num_test"]) == (4000, 0, 1000)
        assert (data["train_counts"], data["test_counts"]) == ([400] * 10, [100] * 10)
        assert data["class_names"] == list("0123456789")

    def test_history(self, trained: Trained) -> None:
        with trained.run.history.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["epoch", "accuracy", "loss", "learning_rate", "seconds"]
        assert [row["epoch"] for row in rows] == ["1"]
        assert float(rows[0]["learning_rate"]) == 0.001

    def test_metrics_and_predictions_tell_the_same(self, trained: Trained) -> None:
        from tinysight.evaluation.predictions import read_predictions

        metrics = json.loads(trained.run.metrics.read_text(encoding="utf-8"))
        assert list(metrics) == ["test"]
        found = read_predictions(trained.run.predictions)["test"]
        accuracy = float((found.probabilities.argmax(axis=1) == found.labels).mean())
        assert accuracy == pytest.approx(trained.summary["test_accuracy"])
        assert len(found.labels) == trained.summary["num_test"] == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"caf\xe9")
    with pytest.raises(InvalidValueError, match=r"the folder name .*caf\\udce9 is not UTF-8"):
        create_run(out, "quick")
    assert list(tmp_path.iterdir()) == []
