"""Writes the report of a run, measuring first what the run lacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinysight.errors import InvalidValueError, RunError
from tinysight.runs import Run, open_run

Say = Callable[[str], None]


def report(
    path: str | Path,
    *,
    quick: bool = False,
    data_dir: str | Path | None = None,
    label_folds: int = 0,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Writes report.html and MODEL_CARD.md into a run.

    What a run already holds is not measured again. A run that died half way gets a page of what there is.

    Args:
        path: the run's folder.
        quick: whether to leave out what takes longer than a few seconds and is not there yet.
        data_dir: where extracted archives lie, or one's own images where they moved; None for where they lay when the
            run was trained.
        label_folds: into how many folds the training images are cut to check their labels, each a training of its own;
            0 to check held-out labels alone.
        say: takes lines for a person.

    Returns:
        `run`, `report` and `model_card` (paths), `bytes` of the page, `finished`, `notices`, `missing` (parts that were
        not measured), `test_accuracy` and its `interval`, both None for a run that was not evaluated.

    Raises:
        RunError: when there is no run, or it died before it described its data.
        InvalidValueError: for a number of folds that is none.
    """
    from tinysight.report.render import write_report

    if label_folds < 0 or label_folds == 1:
        raise InvalidValueError(f"label_folds is {label_folds}; expected 0, or 2 or more")
    run = open_run(path, finished=False)
    _check_described(run)
    written = write_report(run, quick=quick, data_dir=data_dir, label_folds=label_folds, say=say)
    accuracy = None if written.quality is None else written.quality.accuracy
    parts = ("robustness", "outliers", "labels", "duplicates", "looks")
    return {
        "run": str(run.folder),
        "report": str(run.report),
        "model_card": str(run.model_card),
        "bytes": run.report.stat().st_size,
        "finished": run.is_finished,
        "notices": list(written.notices),
        "missing": [part for part in parts if getattr(written.analysis, part) is None],
        "test_accuracy": None if accuracy is None else accuracy.value,
        "interval": None if accuracy is None else [accuracy.low, accuracy.high],
    }


def _check_described(run: Run) -> None:
    for path in (run.data, run.environment):
        if not path.is_file():
            raise RunError(f"the run '{run.folder}' died before it wrote its {path.name}: train it again")
