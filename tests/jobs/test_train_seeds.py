"""`tinysight train --seeds`: each training as if it were alone, and figures over all of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_data import small_data

from tinysight.data.source import load_of_recipe
from tinysight.errors import InvalidValueError, RunError, TrainingInterruptedError, TrainingStoppedError
from tinysight.files import read_json
from tinysight.jobs import seeds
from tinysight.jobs.seeds import aggregate_of, train_seeds
from tinysight.jobs.settings import Settings
from tinysight.jobs.train import train
from tinysight.recipe import load_recipe
from tinysight.runs import Run, SeedRuns, open_run
from tinysight.training.history import read_history

Command = Callable[..., tuple[int, str, str]]
QUIET = Settings(quiet=True, report=False)
# Dropout and augmentation draw numbers in every step, from seeds that Keras made up when the net was built.
RECIPE = load_recipe(
    "day4", epochs=2, layers=["conv 4", "pool", "dropout 0.3", "dense 8"], validation="none", translate=1,
    flip="random", seed=7,
)  # fmt: skip


def made_of(run: Run) -> dict[str, Any]:
    """Weights as they were saved, every probability, and the curve without its times."""
    from tinysight.models.saving import load_keras_file

    model = load_keras_file(run.keras_model)
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in read_history(run.history)]
    with np.load(run.predictions) as archive:
        predictions = {name: archive[name].tobytes() for name in archive.files}
    return {
        "weights": [weight.tobytes() for weight in model.get_weights()],
        "layers": [layer.name for layer in model.layers],
        "history": rows,
        "predictions": predictions,
    }


@pytest.fixture(scope="module")
def both(keras_module: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[SeedRuns, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("seeds") / "both"
    return SeedRuns(folder), train_seeds(2, RECIPE, small_data(), out=folder, settings=QUIET)


def test_each_is_as_if_it_were_alone(both: tuple[SeedRuns, dict[str, Any]], tmp_path: Path, keras_module: Any) -> None:
    folder, _ = both
    keras_module.backend.clear_session()
    train(RECIPE.replace(seed=8), small_data(), out=tmp_path / "alone", settings=QUIET)
    assert made_of(folder.run(8)) == made_of(Run(tmp_path / "alone"))
    assert made_of(folder.run(8))["weights"] != made_of(folder.run(7))["weights"]


def test_recipes_of_runs_on_own_images_cut_them_as_the_first_seed_did(keras_module: Any, tmp_path: Path) -> None:
    """So that each replays its run, and runs of several seeds are scored on the same images."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "own" / name / f"{number}.png")
    recipe = RECIPE.replace(data=str(tmp_path / "own"), epochs=1)
    data = load_of_recipe(recipe)
    train_seeds(2, recipe, data, out=tmp_path / "both", settings=QUIET)
    for seed in (7, 8):
        replayed = load_recipe(str(SeedRuns(tmp_path / "both").run(seed).recipe))
        assert replayed.seed == seed
        np.testing.assert_array_equal(load_of_recipe(replayed).test.images, data.test.images)
    other = load_of_recipe(recipe.replace(seed=8)).test.images
    assert not np.array_equal(other, data.test.images)


def test_record(both: tuple[SeedRuns, dict[str, Any]]) -> None:
    folder, record = both
    assert record == read_json(folder.record)
    assert (record["num_seeds"], record["interrupted"], record["folder"]) == (2, False, str(folder.folder))
    assert [run["seed"] for run in record["runs"]] == [7, 8]
    for run in record["runs"]:
        assert run == read_json(Run(run["run"]).finished_marker)
    accuracies = [run["test_accuracy"] for run in record["runs"]]
    found = record["aggregate"]["test_accuracy"]
    assert found["mean"] == pytest.approx(statistics.fmean(accuracies))
    assert found["std"] == pytest.approx(statistics.stdev(accuracies))
    assert (found["min"], found["max"], found["n"]) == (min(accuracies), max(accuracies), 2)
    assert set(record["aggregate"]) == {"test_accuracy", "test_loss", "seconds"}


def test_the_folder_is_no_run(both: tuple[SeedRuns, dict[str, Any]]) -> None:
    folder, _ = both
    with pytest.raises(RunError, match="one run for each of several seeds: name one of them"):
        open_run(folder.folder)
    assert open_run(folder.run(8).folder).is_finished


def summary(accuracy: float, **changes: Any) -> dict[str, Any]:
    return {"test_accuracy": accuracy, "test_loss": 0.5, "seconds": 2.0, "interrupted": False, **changes}


def test_interval_by_students_t() -> None:
    found = aggregate_of([summary(accuracy) for accuracy in (0.90, 0.91, 0.92, 0.93, 0.94)])
    assert found is not None
    accuracy = found["test_accuracy"]
    # t of 4 degrees of freedom at 97.5 %, as tables have it.
    half = 2.776445 * statistics.stdev([0.90, 0.91, 0.92, 0.93, 0.94]) / 5**0.5
    assert accuracy["interval"] == pytest.approx([0.92 - half, 0.92 + half], abs=1e-7)
    assert accuracy["method"] == "Student t over seeds 95 %"
    assert (found["test_loss"]["std"], found["test_loss"]["interval"]) == (0, [0.5, 0.5])


def test_an_interval_stays_where_the_figure_can_be() -> None:
    found = aggregate_of([summary(0.7, seconds=0.1), summary(1.0, seconds=9.0)])
    assert found is not None
    assert found["test_accuracy"]["interval"][1] == 1
    assert found["seconds"]["interval"][0] == 0
    assert found["seconds"]["interval"][1] > 9


def test_one_training_has_no_spread_and_none_nothing() -> None:
    found = aggregate_of([summary(0.7)])
    assert found is not None
    assert (found["test_accuracy"]["std"], found["test_accuracy"]["interval"]) == (None, None)
    assert aggregate_of([]) is None


class TestEnds:
    """What is finished is kept, however the next one ends."""

    @pytest.fixture
    def fake(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        def ends_with(*ends: dict[str, Any] | BaseException) -> None:
            left = list(ends)

            def next_one(recipe: Any, data: Any, **_: Any) -> dict[str, Any]:
                end = left.pop(0)
                if isinstance(end, BaseException):
                    raise end
                return end

            monkeypatch.setattr(seeds, "train", next_one)
            monkeypatch.setattr(seeds, "_forget_nets", lambda: None)

        return ends_with

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), TrainingInterruptedError("before the first epoch")])
    def test_ctrl_c_keeps_what_is_finished(
        self, error: BaseException, fake: Callable[..., None], offline: Path
    ) -> None:
        fake(summary(0.8), summary(0.9), error)
        lines: list[str] = []
        record = train_seeds(5, RECIPE, small_data(), out="all", settings=Settings(say=lines.append))
        assert (record["interrupted"], len(record["runs"]), record["aggregate"]["test_accuracy"]["n"]) == (True, 2, 2)
        assert record == read_json(SeedRuns("all").record)
        assert lines[-1] == "interrupted: keeping the trainings that are finished, 2 of 5"

    def test_ctrl_c_within_a_training_counts_whole_ones_only(self, fake: Callable[..., None], offline: Path) -> None:
        fake(summary(0.8), summary(0.1, interrupted=True), AssertionError("one more was begun"))
        record = train_seeds(3, RECIPE, small_data(), out="all")
        assert (record["interrupted"], len(record["runs"]), record["aggregate"]["test_accuracy"]["n"]) == (True, 2, 1)

    def test_a_loss_that_is_not_finite(self, fake: Callable[..., None], offline: Path) -> None:
        fake(summary(0.8), TrainingStoppedError("the loss became NaN"))
        with pytest.raises(TrainingStoppedError, match="NaN"):
            train_seeds(3, RECIPE, small_data(), out="all")
        assert len(read_json(SeedRuns("all").record)["runs"]) == 1

    def test_nothing_is_left_of_nothing(self, fake: Callable[..., None], offline: Path) -> None:
        fake(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train_seeds(2, RECIPE, small_data())
        assert list((offline / "runs").iterdir()) == []


class TestRefused:
    def test_numbers_and_minutes(self, offline: Path) -> None:
        with pytest.raises(InvalidValueError, match="1 seeds; expected 2 or more"):
            train_seeds(1, RECIPE, small_data())
        with pytest.raises(InvalidValueError, match="seeds and minutes exclude each other"):
            train_seeds(2, RECIPE, small_data(), settings=Settings(minutes=1))
        assert list(offline.iterdir()) == []

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("mnist-softmax", "--seeds", "3", "--minutes", "1"), "--seeds and --minutes exclude each other"),
            (("--seeds", "3", "--resume", "run"), "--seeds cannot be changed when a training is resumed"),
            (("mnist-softmax", "--seeds", "1"), "1 is not in the range x>=2"),
        ],
    )
    def test_by_the_command(self, words: tuple[str, ...], message: str, command: Command, offline: Path) -> None:
        status, out, err = command("train", *words)
        assert (status, out) == (2, "")
        assert message in err
        assert list(offline.iterdir()) == []


def test_the_command(command: Command, offline: Path) -> None:
    words = ("train", "mnist-softmax", "--data", "mnist-5k", "--epochs", 1, "--seeds", 2, "--no-report", "--quiet")
    status, out, err = command(*words, "--out", "all", "--json")
    assert (status, err) == (0, "")
    record = json.loads(out)
    assert record == read_json(SeedRuns("all").record)
    mean = record["aggregate"]["test_accuracy"]["mean"]
    from tinysight.cli.train import describe_seeds

    text = describe_seeds(record)
    assert f"test accuracy {mean:.2%} on average over 2 seeds, standard deviation" in text
    assert "by Student's t" in text


def test_nets_of_their_own_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    from tinysight.training.retracing import without_retracing_warnings

    logger = logging.getLogger("tensorflow")
    warning = "5 out of the last 9 calls to <function> triggered tf.function retracing. Tracing is expensive"
    with without_retracing_warnings():
        logger.warning(warning)
        logger.warning("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"]
    logger.warning(warning)
    assert len(caplog.records) == 2
