"""The pictures of a run as PNG files, with matplotlib."""

from __future__ import annotations

from tinysight.evaluation.predictions import Predictions
from tinysight.images import ImageSet
from tinysight.metrics.summary import Summary
from tinysight.runs import Run


def write_plots(run: Run, test: ImageSet, predictions: Predictions, summary: Summary, *, metric: str) -> None:
    """Draws curves, confusion matrices and sample predictions into the run's plots folder."""
