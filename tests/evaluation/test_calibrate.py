from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quadrants import SIDE, quadrant_data

from tinysight.errors import InvalidValueError, RunError
from tinysight.evaluation.predictions import Predictions, read_predictions, write_predictions
from tinysight.files import read_json, write_json
from tinysight.metrics.calibration import apply_temperature
from tinysight.recipe import load_recipe
from tinysight.report.trust import trust_of
from tinysight.runs import Run, read_summary
from tinysight.serving.predictor import Predictor
from tinysight.verbs.calibrate import calibrate
from tinysight.verbs.report import report


@pytest.fixture
def run(quadrant_run: Run, tmp_path: Path) -> Run:
    """A copy of the run whose validation labels are partly wrong, so that its scores are surer than right."""
    copy = Run(shutil.copytree(quadrant_run.folder, tmp_path / "run"))
    predictions = read_predictions(copy.predictions)
    labels = predictions["validation"].labels.copy()
    labels[::5] = (labels[::5] + 1) % 4
    validation = Predictions(probabilities=predictions["validation"].probabilities, labels=labels)
    write_predictions(copy.predictions, {**predictions, "validation": validation})
    return copy


def test_models_predictions_and_figures_agree(run: Run, command: Callable[..., tuple[int, str, str]]) -> None:
    from tinysight.models.saving import load_keras_file

    test = quadrant_data().test
    plain, before = Predictor(run.onnx_model).predict(test.images), read_predictions(run.predictions)
    status, out, _ = command("calibrate", run.folder, "--json")
    assert status == 0
    record = json.loads(out)
    assert record == read_json(run.calibration)
    temperature = record["temperature"]
    assert 1.5 < temperature < 20
    assert record["num_images"] == len(before["validation"].labels)
    for name in ("log_loss", "expected_calibration_error"):
        assert record["validation"]["after"][name]["value"] < record["validation"]["before"][name]["value"]
    expected = apply_temperature(plain, temperature)
    predictor = Predictor(run.onnx_model)
    assert predictor.info.extra["temperature"] == temperature
    by_onnx = predictor.predict(test.images)
    by_keras = np.asarray(load_keras_file(run.keras_model).predict(test.images, verbose=0))
    np.testing.assert_allclose(by_onnx, expected, atol=1e-5)
    np.testing.assert_allclose(by_keras, expected, atol=1e-5)
    np.testing.assert_array_equal(by_onnx.argmax(axis=1), plain.argmax(axis=1))
    after = read_predictions(run.predictions)
    np.testing.assert_allclose(after["test"].probabilities, by_onnx, atol=1e-5)
    np.testing.assert_array_equal(after["validation"].labels, before["validation"].labels)
    metrics, summary = read_json(run.metrics), read_summary(run)
    log_loss = metrics["test"]["figures"]["log_loss"]["value"]
    assert log_loss == pytest.approx(record["test"]["after"]["log_loss"]["value"])
    assert summary["test_loss"] == log_loss
    for sample in summary["samples"]:
        assert sample["score"] == pytest.approx(by_onnx[sample["image"]].max(), abs=1e-5)


def test_what_was_there_before_is_kept_and_repeating_changes_nothing(run: Run) -> None:
    files = ("keras_model", "onnx_model", "predictions", "metrics", "finished_marker")
    before = {name: getattr(run, name).read_bytes() for name in files}
    first = calibrate(run.folder)
    assert {name: getattr(run.uncalibrated, name).read_bytes() for name in files} == before
    # Cut off before its figures were written: the next call begins with what the training left.
    run.calibration.unlink()
    run.predictions.write_bytes(before["predictions"])
    second = calibrate(run.folder)
    assert second == first
    assert {name: getattr(run.uncalibrated, name).read_bytes() for name in files} == before


def test_a_run_without_onnx_file(run: Run) -> None:
    run.onnx_model.unlink()
    lines: list[str] = []
    calibrate(run.folder, say=lines.append)
    assert not run.onnx_model.exists()
    assert "only its Keras file" in lines[0]


def test_says_which_pages_show_the_figures_from_before(run: Run) -> None:
    def said() -> list[str]:
        lines: list[str] = []
        calibrate(run.folder, say=lines.append)
        return [line for line in lines if "from before" in line]

    for path in (run.report, run.model_card):
        path.unlink(missing_ok=True)
    assert said() == []
    run.model_card.write_text("old", encoding="utf-8")
    (line,) = said()
    assert line.startswith("MODEL_CARD.md in ")
    run.report.write_text("old", encoding="utf-8")
    (line,) = said()
    assert line.startswith("report.html and MODEL_CARD.md in ")
    assert line.endswith(f"`tinysight report {run.folder}` writes them anew")
    report(run.folder, quick=True)
    assert "old" not in {path.read_text(encoding="utf-8") for path in (run.report, run.model_card)}


def test_the_page_names_the_models_that_hold_the_temperature(run: Run) -> None:
    calibrate(run.folder)
    recipe = load_recipe(str(run.recipe))

    def words() -> str:
        return trust_of(run, read_predictions(run.predictions), read_json(run.metrics), recipe.seed).temperature

    assert words().startswith("model.keras and model.onnx hold a temperature of ")
    assert words().endswith("Files exported before the calibration hold none.")
    run.onnx_model.unlink()
    assert words().startswith("model.keras holds a temperature of ")


@pytest.mark.parametrize(("source", "word"), [("test", "validated on its test split"), ("none", "held out no")])
def test_refuses_without_held_out_validation_data(
    run: Run, source: str, word: str, command: Callable[..., tuple[int, str, str]]
) -> None:
    write_json(run.data, read_json(run.data) | {"validation": source})
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    status, out, err = command("calibrate", run.folder)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert word in err
    assert {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()} == before
    assert not run.uncalibrated.folder.exists()


def test_refuses_without_validation_predictions(run: Run) -> None:
    write_predictions(run.predictions, {"test": read_predictions(run.predictions)["test"]})
    with pytest.raises(RunError, match="no predictions of its validation images"):
        calibrate(run.folder)


def test_the_table(run: Run, command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = command("calibrate", run.folder)
    assert status == 0
    assert "scores are less sure than before" in out
    assert out.splitlines()[-1].startswith("test ")
    assert out.count("->") == 4


class TestWithTemperature:
    def test_extremes_stay_finite(self, keras_module: Any) -> None:
        from tinysight.models.serving import serving_model
        from tinysight.models.temperature import with_temperature

        layers = keras_module.layers
        net = keras_module.Sequential(
            [keras_module.Input((SIDE, SIDE, 1)), layers.Flatten(), layers.Dense(4, kernel_initializer="random_normal")]
        )
        net.layers[-1].set_weights([weight * 100 for weight in net.layers[-1].get_weights()])
        model = serving_model(net, "0..1", (SIDE, SIDE, 1))
        images = quadrant_data().test.images
        plain = np.asarray(model(images))
        assert plain.max() == 1
        for temperature in (0.05, 1.0, 3.0, 20.0):
            found = np.asarray(with_temperature(model, temperature)(images))
            np.testing.assert_allclose(found, apply_temperature(plain, temperature), atol=1e-5)
            np.testing.assert_array_equal(found.argmax(axis=1), plain.argmax(axis=1))

    @pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
    def test_bad_temperature(self, quadrant_model: Any, temperature: float) -> None:
        from tinysight.models.temperature import with_temperature

        with pytest.raises(InvalidValueError, match="expected a number above 0"):
            with_temperature(quadrant_model, temperature)
