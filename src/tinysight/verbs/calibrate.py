"""Carries a temperature, fitted on validation data, into the saved and exported model of a run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError, RunError
from tinysight.evaluation.predictions import Predictions, read_predictions, write_predictions
from tinysight.files import atomic_path, read_json, write_json
from tinysight.metrics.calibration import apply_temperature, fit_temperature, logits_of, reliability
from tinysight.metrics.summary import summarize
from tinysight.recipe import load_recipe
from tinysight.runs import Run, open_run, read_summary

_REFUSED = {
    "test": "it was validated on its test split, where a fitted temperature would make the test figures look better",
    "none": "it held out no validation data to fit a temperature on",
}
NUM_CHECKED = 64


def calibrate(path: str | Path, *, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Fits a temperature on the run's validation predictions and rewrites its models and figures with it.

    The top class of every image stays what it was. Models, predictions and figures as they were are kept in the run's
    folder `uncalibrated`, and every calibration starts from these, so it may be cut off or repeated at any time.

    Args:
        path: a finished run's folder.
        say: takes lines for a person.

    Returns:
        What is written as the run's calibration: `run`, `temperature`, `num_images` it was fitted on, and for
        "validation" and "test" each `before` and `after` with `log_loss` and `expected_calibration_error`, as figures.

    Raises:
        RunError: when there is no finished run, or it held out no validation data.
        ModelError: when the new ONNX file does not give what the temperature should give.
    """
    run = open_run(path)
    _check_validation(run)
    original = _keep_original(run)
    before = read_predictions(original.predictions)
    fitted = fit_temperature(logits_of(before["validation"].probabilities), before["validation"].labels)
    after = {name: _scaled(predictions, fitted.value) for name, predictions in before.items()}
    _rewrite_models(run, original, fitted.value, say)
    record = {
        "run": str(run.folder),
        "temperature": fitted.value,
        "num_images": fitted.num_images,
        **{name: {"before": _figures(before[name]), "after": _figures(after[name])} for name in before},
    }
    _rewrite_figures(run, after)
    write_json(run.calibration, record)
    if run.exports.is_dir():
        say(f"the files in {run.exports} hold no temperature: export them again")
    _say_stale(run, say)
    return record


def _say_stale(run: Run, say: Callable[[str], None]) -> None:
    stale = [path.name for path in (run.report, run.model_card) if path.is_file()]
    if stale:
        verb, them = ("shows", "it") if len(stale) == 1 else ("show", "them")
        say(
            f"{' and '.join(stale)} in {run.folder} {verb} the figures from before: `tinysight report {run.folder}`"
            f" writes {them} anew"
        )


def _check_validation(run: Run) -> None:
    source = read_json(run.data)["validation"]
    if source in _REFUSED:
        raise RunError(
            f"the run '{run.folder}' cannot be calibrated: {_REFUSED[source]}; train again with --set"
            " validation=stratified"
        )
    if "validation" not in read_predictions(run.predictions):
        raise RunError(f"the run '{run.folder}' has no predictions of its validation images: train it again")


def _keep_original(run: Run) -> Run:
    """Copies what is about to be replaced. Nothing is replaced before all copies are there, so a copy that exists holds
    what the training wrote, also when an earlier calibration was cut off."""
    original = run.uncalibrated
    for source, target in (
        (run.keras_model, original.keras_model),
        (run.onnx_model, original.onnx_model),
        (run.predictions, original.predictions),
        (run.metrics, original.metrics),
        (run.finished_marker, original.finished_marker),
    ):
        if source.is_file() and not target.is_file():
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
    return original


def _scaled(predictions: Predictions, temperature: float) -> Predictions:
    scaled = apply_temperature(predictions.probabilities, temperature)
    return Predictions(probabilities=np.asarray(scaled, np.float32), labels=predictions.labels)


def _figures(predictions: Predictions) -> dict[str, Any]:
    rows, labels = predictions.probabilities, predictions.labels
    names = [str(index) for index in range(rows.shape[1])]
    return {
        "log_loss": summarize(rows, labels, names).figures["log_loss"].to_dict(),
        "expected_calibration_error": reliability(rows, labels).expected_error.to_dict(),
    }


def _rewrite_models(run: Run, original: Run, temperature: float, say: Callable[[str], None]) -> None:
    from tinysight.training.backend import choose_backend

    choose_backend()
    from tinysight.models.saving import load_keras_file, save_keras_file
    from tinysight.models.temperature import with_temperature

    model = with_temperature(load_keras_file(original.keras_model), temperature)
    if original.onnx_model.is_file():
        _rewrite_onnx(run, original, model, temperature)
    else:
        say("the run has no ONNX file; only its Keras file was rewritten")
    save_keras_file(model, run.keras_model)


def _rewrite_onnx(run: Run, original: Run, model: Any, temperature: float) -> None:
    from tinysight.export.onnx import TOLERANCE, largest_difference, write_onnx
    from tinysight.serving.predictor import Predictor

    plain = Predictor(original.onnx_model)
    info = replace(plain.info, extra={**plain.info.extra, "temperature": temperature})
    images = _images_to_check(plain.info.image_shape)
    expected = apply_temperature(plain.predict(images), temperature)
    with tempfile.TemporaryDirectory(prefix="tinysight-") as folder:
        written = write_onnx(model, Path(folder) / run.onnx_model.name, info)
        difference = largest_difference(expected, Predictor(written).predict(images))
        if not difference <= TOLERANCE:
            raise ModelError(
                f"the ONNX file with the temperature differs by {difference:.2g} in a probability from what it should"
                f" give; expected at most {TOLERANCE:g}; the run is unchanged"
            )
        with atomic_path(run.onnx_model) as temporary:
            shutil.copyfile(written, temporary)


def _images_to_check(image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Noise from faint to strong, so that scores from unsure to sure are compared."""
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 1, (NUM_CHECKED, *image_shape))
    strength = np.linspace(0, 120, NUM_CHECKED)[:, None, None, None]
    return np.asarray(np.clip(128 + strength * noise, 0, 255), np.uint8)


def _rewrite_figures(run: Run, after: dict[str, Predictions]) -> None:
    class_names, seed = read_json(run.data)["class_names"], load_recipe(str(run.recipe)).seed
    summaries = {
        name: summarize(found.probabilities, found.labels, class_names, seed=seed) for name, found in after.items()
    }
    write_predictions(run.predictions, after)
    write_json(run.metrics, {name: summary.to_dict() for name, summary in summaries.items()})
    summary = read_summary(run) | {"test_loss": summaries["test"].figures["log_loss"].value}
    for sample in summary.get("samples", []):
        sample["score"] = float(after["test"].probabilities[sample["image"]].max())
    run.finish(summary)
