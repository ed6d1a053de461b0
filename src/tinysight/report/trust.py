"""Whether the score can be trusted: reliability, temperature, and what is gained by not answering when unsure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinysight.evaluation.predictions import Predictions
from tinysight.files import read_json
from tinysight.metrics.calibration import Reliability, apply_temperature, fit_temperature, logits_of, reliability
from tinysight.metrics.counts import predicted_classes
from tinysight.metrics.scores import log_losses
from tinysight.metrics.selective import RiskCoverage, risk_coverage
from tinysight.report import teacher
from tinysight.report.charts import Chart, Series, make_chart
from tinysight.report.figures import FigureRow, figure_row
from tinysight.report.words import GAP, listed, percent
from tinysight.runs import Run

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
NUM_POINTS = 100


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What the score is worth.

    Attributes:
        calibration_error: with its interval.
        sentence: what it says.
        temperature: what a temperature does or would do, in words; empty without validation data.
        reliability: accuracy against score.
        selective: accuracy against the share of images answered.
        bins: rows of the reliability table: scores, images, mean score, accuracy, its interval.
        coverages: (share answered, accuracy on these).
        data: the same as JSON values.
    """

    calibration_error: FigureRow
    sentence: str
    temperature: str
    reliability: Chart
    selective: Chart
    bins: tuple[tuple[str, ...], ...]
    coverages: tuple[tuple[str, str], ...]
    data: Mapping[str, Any]

    @property
    def charts(self) -> tuple[Chart, ...]:
        return self.reliability, self.selective


def trust_of(run: Run, predictions: Mapping[str, Predictions], metrics: Mapping[str, Any], seed: int) -> Trust:
    """Reads it off the stored predictions."""
    test = predictions["test"]
    found = reliability(test.probabilities, test.labels, seed=seed)
    confidence = test.probabilities.max(axis=1)
    curve = risk_coverage(confidence, predicted_classes(test.probabilities) == test.labels)
    error = figure_row("expected_calibration_error", found.expected_error.to_dict())
    accuracy = metrics["test"]["figures"]["accuracy"]["value"]
    words, temperature = _temperature(run, predictions)
    return Trust(
        calibration_error=error,
        sentence=teacher.calibration(error, float(confidence.mean()), accuracy),
        temperature=words,
        reliability=_reliability_chart(found),
        selective=_selective_chart(curve),
        bins=tuple(
            (
                f"{100 * item.low:.0f}–{percent(item.high, 0)}",
                f"{item.count:,}",
                percent(item.confidence),
                percent(item.accuracy),
                f"{percent(item.interval.low)} to {percent(item.interval.high)}",
            )
            for item in found.bins
        ),
        coverages=tuple((percent(share, 0), percent(curve.accuracy_at(share))) for share in COVERAGES),
        data={"reliability": found.to_dict(), "temperature": temperature, "risk_coverage_area": curve.area},
    )


def _temperature(run: Run, predictions: Mapping[str, Predictions]) -> tuple[str, dict[str, Any] | None]:
    if run.calibration.is_file():
        record = read_json(run.calibration)
        words = (
            f"{_holders(run)} a temperature of {record['temperature']:.2f}, fitted on {record['num_images']:,}"
            " validation images; the scores here are with it. Files exported before the calibration hold none."
        )
        return words, record
    if "validation" not in predictions:
        return "", None
    held_out, test = predictions["validation"], predictions["test"]
    fitted = fit_temperature(logits_of(held_out.probabilities), held_out.labels)
    scaled = apply_temperature(test.probabilities, fitted.value)
    before, after = (float(log_losses(rows, test.labels).mean()) for rows in (test.probabilities, scaled))
    record = {"temperature": fitted.value, "num_images": fitted.num_images, "test_log_loss": [before, after]}
    return teacher.temperature(fitted.value, before, after), record


def _holders(run: Run) -> str:
    """The models that a calibration rewrites, as the beginning of a sentence."""
    names = [path.name for path in (run.keras_model, run.onnx_model) if path.is_file()]
    return f"{listed(names)} {'holds' if len(names) == 1 else 'hold'}"


def _as_percent(value: float) -> str:
    return f"{100 * value:.3g}{GAP}%"


def _reliability_chart(found: Reliability) -> Chart:
    bins = found.bins
    series = [
        Series(name="perfectly honest", xs=[0.0, 1.0], ys=[0.0, 1.0], kind="reference"),
        Series(
            name="this model",
            xs=[item.confidence for item in bins],
            ys=[item.accuracy for item in bins],
            lows=[item.interval.low for item in bins],
            highs=[item.interval.high for item in bins],
        ),
    ]
    return make_chart(
        "reliability",
        "Accuracy against score",
        "Each point is a group of images with similar scores, with its 95 % interval. On the grey line a score of 80 %"
        " means right four times in five; below it the model is too sure, above it not sure enough.",
        series,
        x_label="score",
        y_label="accuracy",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
        x_format=_as_percent,
        y_format=_as_percent,
    )


def _selective_chart(curve: RiskCoverage) -> Chart:
    steps = np.unique(np.linspace(0, len(curve.coverage) - 1, NUM_POINTS).astype(int))
    # The first few images alone make the curve jump by chance.
    steps = steps[curve.coverage[steps] >= 0.02] if (curve.coverage >= 0.02).any() else steps
    coverage, accuracy = curve.coverage[steps].tolist(), (1 - curve.risk[steps]).tolist()
    return make_chart(
        "selective",
        "Accuracy when it may decline to answer",
        f"Answering only the surer half of the images, the model is right for {percent(curve.accuracy_at(0.5))};"
        f" answering all, for {percent(curve.accuracy_at(1.0))}.",
        [Series(name="accuracy", xs=coverage, ys=accuracy)],
        x_label="share of images answered, surest first",
        y_label="accuracy",
        x_range=(0.0, 1.0),
        x_format=_as_percent,
        y_format=lambda value: f"{100 * value:.4g}{GAP}%",
    )
