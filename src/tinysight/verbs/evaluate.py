"""Scores a finished run on held-out images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinysight.data.catalog import CATALOG
from tinysight.data.source import load_again, load_data, load_to_score
from tinysight.errors import DataError, InvalidValueError
from tinysight.evaluation.forward import predictor_of
from tinysight.evaluation.results import predict_splits, summarize_splits
from tinysight.files import read_json
from tinysight.images import DataSet, ImageSet
from tinysight.metrics.summary import Summary
from tinysight.runs import Run, open_run


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A run's scores on one split.

    Attributes:
        run: the run.
        data: name of the data set.
        split: "test" or "train"; "all" for a folder of one's own images without a test split.
        summary: every figure, with n and interval.
        confusion_plot: where the confusion matrix was drawn, or None.
    """

    run: Run
    data: str
    split: str
    summary: Summary
    confusion_plot: Path | None

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        figures, summary = self.summary.figures, self.summary
        return {
            "run": str(self.run.folder),
            "data": self.data,
            "split": self.split,
            "accuracy": figures["accuracy"].value,
            "interval": [figures["accuracy"].low, figures["accuracy"].high],
            "loss": figures["log_loss"].value,
            "num_examples": summary.num_images,
            "per_class": [{"name": scores.name, **scores.to_dict()} for scores in summary.classes],
            "figures": {name: figure.to_dict() for name, figure in figures.items()},
            "confusion": summary.confusion.tolist(),
            "confusion_plot": None if self.confusion_plot is None else str(self.confusion_plot),
        }


def evaluate(
    path: str | Path,
    *,
    data: str | Path | DataSet | None = None,
    data_dir: str | Path | None = None,
    split: str = "test",
) -> Evaluation:
    """Every image of the split goes through the model once.

    Args:
        path: a finished run's folder.
        data: another data set, by name, path or as it is, whose classes the model knows; None for the run's own. Of a
            path without a test split every image is scored.
        data_dir: where extracted archives lie, or the run's own images by now; None for where they lay in training.
        split: "test" or "train".

    Returns:
        Figures with intervals, overall and per class, and the confusion matrix; the path of its picture.

    Raises:
        InvalidValueError: for another split.
        RunError: when there is no finished run.
        DataError: when the data cannot be had, or its classes or image shape are not the model's.
    """
    from tinysight.report.plots import confusion_figure, save

    if split not in ("test", "train"):
        raise InvalidValueError(f"split is '{split}'; expected test or train")
    run = open_run(path)
    described = read_json(run.data)
    name, images, split = _to_score(str(data) if isinstance(data, Path) else data, data_dir, split, described)
    images = _aligned(images, name, described)
    splits = {split: images}
    summaries = summarize_splits(splits, predict_splits(splits, predictor_of(run)))
    # Own data are named after their path.
    stem = re.sub(r"[^\w.-]+", "-", Path(name).name)
    plot = run.plots / f"confusion-{stem}-{split}.png"
    save(confusion_figure(summaries[split].confusion, summaries[split].class_names), plot)
    return Evaluation(run=run, data=name, split=split, summary=summaries[split], confusion_plot=plot)


def _to_score(
    data: str | DataSet | None, data_dir: str | Path | None, split: str, described: dict[str, Any]
) -> tuple[str, ImageSet, str]:
    """Name of the data, its images that are to be scored, and which they are."""
    if isinstance(data, str) and data not in CATALOG and not _is_runs_own(data, described):
        images, split = load_to_score(data, tuple(described["image_shape"]), split)
        return data, images, split
    if data is None or (isinstance(data, str) and data not in CATALOG):
        data = load_again(described, data_dir, (split,))
    elif isinstance(data, str):
        data = load_data(data, data_dir)
    return data.name, getattr(data, split), split


def _is_runs_own(data: str, described: dict[str, Any]) -> bool:
    """Whether the run was trained on a part of the data at that path: the other part is held out as it was then."""
    own = described.get("own")
    return own is not None and Path(data).expanduser().resolve() == Path(own["settings"]["name_or_path"])


def _aligned(images: ImageSet, name: str, described: dict[str, Any]) -> ImageSet:
    """The images with the model's label order: classes are matched by name, never by position."""
    names, shape = tuple(described["class_names"]), tuple(described["image_shape"])
    unknown = sorted(set(images.class_names) - set(names))
    if unknown:
        raise DataError(
            f"{name} has classes that the model does not know ({', '.join(unknown[:3])}); expected some of the model's"
            f" {len(names)}: {', '.join(names[:10])}"
        )
    if images.image_shape != shape:
        raise DataError(f"{name} has images of shape {images.image_shape}; the model takes {shape}")
    order = np.array([names.index(name) for name in images.class_names], dtype=np.int32)
    return ImageSet(images=images.images, labels=order[images.labels], class_names=names)
