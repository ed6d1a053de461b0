"""Trainings that are looked at, by the live page, TensorBoard's files and callbacks of a person's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import small_data

import tinysight
from tinysight.errors import TrainingStoppedError
from tinysight.jobs.settings import Settings
from tinysight.jobs.train import train
from tinysight.live.following import LivePage
from tinysight.recipe import load_recipe
from tinysight.runs import Run
from tinysight.training.history import read_history

Command = Callable[..., tuple[int, str, str]]
RECIPE = load_recipe(
    "day4", epochs=3, batch_size=7, layers=["conv 4", "pool", "dropout 0.3", "dense 8"], validation="stratified",
    validation_split=0.3, translate=1, flip="random",
)  # fmt: skip


def values_of(page: LivePage) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(page.record.wait(0, 0))
    return values


@pytest.fixture(scope="module")
def watched(keras_module: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any]]:
    """A training with everybody looking on, and the last that the page showed of it."""
    folder = tmp_path_factory.mktemp("watched")
    with LivePage() as page:
        settings = Settings(quiet=True, report=False, live=page, tensorboard=folder / "logs")
        train(RECIPE, small_data(), out=folder / "run", settings=settings)
    return Run(folder / "run"), values_of(page)


def test_looking_changes_nothing(watched: tuple[Run, dict[str, Any]], tmp_path: Path, keras_module: Any) -> None:
    keras_module.backend.clear_session()
    train(RECIPE, small_data(), out=tmp_path / "alone", settings=Settings(quiet=True, report=False))
    with np.load(watched[0].predictions) as seen, np.load(tmp_path / "alone" / "predictions.npz") as alone:
        for name in alone.files:
            assert seen[name].tobytes() == alone[name].tobytes()


def test_curves_and_time(watched: tuple[Run, dict[str, Any]]) -> None:
    run, shown = watched
    assert shown["history"] == read_history(run.history)
    assert (shown["epoch"], shown["num_epochs"], shown["progress"], shown["seconds_left"]) == (3, 3, 1, 0)
    points = shown["points"]
    assert {len(column) for column in points.values()} == {len(points["epoch"])}
    at_ends = [points["epoch"].index(epoch) for epoch in (1, 2, 3)]
    for name in ("accuracy", "loss"):
        np.testing.assert_allclose([points[name][i] for i in at_ends], [row[name] for row in shown["history"]], 1e-4)


def test_samples_are_validation_images(watched: tuple[Run, dict[str, Any]]) -> None:
    run, shown = watched
    samples = shown["samples"]
    assert samples["words"] == "Validation images, held out of the training split."
    assert len(samples["images"]) == 8
    with np.load(run.predictions) as archive:
        probabilities, labels = archive["validation_probabilities"], archive["validation_labels"]
    for image in samples["images"]:
        row, names = probabilities[image["index"]], small_data().test.class_names
        assert image["true"] == names[labels[image["index"]]]
        assert [top["name"] for top in image["top"]] == [names[label] for label in np.argsort(-row)[:3]]
        assert image["top"][0]["score"] == pytest.approx(row.max(), abs=1e-4)


def test_the_end(watched: tuple[Run, dict[str, Any]]) -> None:
    run, shown = watched
    assert (shown["phase"], shown["title"], shown["report"]) == ("finished", "day4 on stripes", None)
    accuracy = json.loads(run.finished_marker.read_text(encoding="utf-8"))["test_accuracy"]
    assert shown["status"].startswith(f"The training is finished: test accuracy {accuracy:.1%} (95 % interval ")


def test_a_training_that_stops(tmp_path: Path, keras_module: Any) -> None:
    bad = RECIPE.replace(optimizer="sgd", learning_rate=1e38)
    with LivePage() as page:
        settings = Settings(quiet=True, live=page)
        with pytest.raises(TrainingStoppedError):
            train(bad, small_data(), out=tmp_path / "bad", settings=settings)
    shown = values_of(page)
    assert shown["phase"] == "failed"
    assert shown["status"].startswith("The training stopped: ")


def test_a_command_that_ends_before_it_trains() -> None:
    with LivePage() as page:
        pass
    assert (values_of(page)["phase"], values_of(page)["status"][:22]) == ("failed", "The training ended bef")


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Tag -> step -> value, as TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found.setdefault(value.tag, {})[event.step] = float(make_ndarray(value.tensor))
    return found


class TestTensorBoard:
    def test_event_files_hold_the_history(self, watched: tuple[Run, dict[str, Any]]) -> None:
        run, _ = watched
        rows = read_history(run.history)
        folder = run.folder.parent / "logs" / "run"
        learned, held_out = scalars(folder / "train"), scalars(folder / "validation")
        names = {"loss", "accuracy", "learning_rate"}
        assert set(learned) == {f"{kind}_{name}" for kind in ("batch", "epoch") for name in names}
        assert set(held_out) == {"epoch_loss", "epoch_accuracy"}
        for name in ("loss", "accuracy"):
            np.testing.assert_allclose(list(learned[f"epoch_{name}"].values()), [row[name] for row in rows], 1e-5)
            np.testing.assert_allclose(
                list(held_out[f"epoch_{name}"].values()), [row[f"val_{name}"] for row in rows], 1e-5
            )
            assert list(learned[f"epoch_{name}"]) == [0, 1, 2]
        # 28 images in batches of 7: four steps an epoch, which are done in one call.
        steps = list(learned["batch_loss"])
        assert steps == sorted(steps)
        assert steps[-1] == 12
        np.testing.assert_allclose(learned["batch_loss"][12], rows[-1]["loss"], 1e-5)

    def test_steps_of_an_epoch_that_is_a_part(self, tmp_path: Path, keras_module: Any) -> None:
        settings = Settings(quiet=True, report=False, tensorboard=tmp_path / "logs")
        train(RECIPE.replace(steps=6), small_data(), out=tmp_path / "run", settings=settings)
        steps = list(scalars(tmp_path / "logs" / "run" / "train")["batch_loss"])
        # Of four steps an epoch the second one has two.
        assert (steps[0] <= 4, steps[-1]) == (True, 6)

    def test_without_the_package(self, command: Command, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        assert command("train", "mnist-softmax", "--data", "mnist-5k", "--tensorboard") == (
            2, "",
            "tinysight: --tensorboard needs the package tensorboard, which is not installed:"
            " pip install 'tinysight[tensorboard]'\n",
        )  # fmt: skip
        assert list(offline.iterdir()) == []

    def test_a_recipe_behind_the_option(self, command: Command, offline: Path) -> None:
        status, out, err = command("train", "--tensorboard", "mnist-cnn")
        assert (status, out) == (2, "")
        assert err == "tinysight: --tensorboard took 'mnist-cnn' for its folder: name the recipe before it\n"


def test_callbacks_of_ones_own(tmp_path: Path, keras_module: Any) -> None:
    from keras.callbacks import Callback, EarlyStopping

    class Notes(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            noted.append((epoch, sorted(logs), type(self.model.net).__name__))

    noted: list[Any] = []
    # A loss that no epoch improves by so much: the second one is the last.
    stop = EarlyStopping(monitor="val_loss", min_delta=1e9, patience=1)
    run = tinysight.train(
        "day4", data=small_data(), out=tmp_path / "run", quiet=True, report=False, callbacks=[Notes(), stop], epochs=9,
        layers=["conv 4", "pool", "dense 8"], validation="test",
    )  # fmt: skip
    names = ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert noted == [(0, names, "Sequential"), (1, names, "Sequential")]
    assert (run.summary["epochs"], run.summary["interrupted"]) == (2, False)


class TestCommand:
    def test_live(self, command: Command, offline: Path) -> None:
        words = ("mnist-softmax", "--data", "mnist-5k", "--epochs", 1, "--quiet", "--no-report", "--live", "--json")
        status, out, err = command("train", *words)
        assert status == 0
        assert json.loads(out)["num_test"] == 1000
        # The one line that quiet leaves: without it nobody knows the port.
        assert err.startswith("follow the training at http://127.0.0.1:")
        assert err.count("\n") == 1

    def test_a_port_that_is_taken(self, command: Command, offline: Path) -> None:
        with LivePage() as page:
            port = page.url.rstrip("/").rpartition(":")[2]
            status, out, err = command("train", "mnist-softmax", "--data", "mnist-5k", "--live", port)
        assert (status, out) == (2, "")
        assert err == f"tinysight: --live {port}: port {port} is in use; name another, or none for one that is free\n"
        assert list(offline.iterdir()) == []
