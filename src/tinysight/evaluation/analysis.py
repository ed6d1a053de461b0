"""Everything about a run that takes longer than a few seconds to measure: computed part by part, kept in the run.

The files and their fields are described in docs/evaluation.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import DataError, InvalidValueError, RunError, UnknownNameError
from tinysight.evaluation.analysis_parts import PARTS, Subject
from tinysight.evaluation.forward import predictor_of
from tinysight.evaluation.predictions import Predictions, read_predictions
from tinysight.evaluation.robustness import NUM_IMAGES
from tinysight.files import atomic_path, digest, read_json, write_json
from tinysight.images import DataSet
from tinysight.runs import Run

Say = Callable[[str], None]


def analyze(
    run: Run,
    data: DataSet,
    *,
    parts: Sequence[str] = tuple(PARTS),
    num_images: int = NUM_IMAGES,
    label_folds: int = 0,
    seed: int = 0,
    data_dir: str | Path | None = None,
    say: Say = lambda text: None,
) -> dict[str, dict[str, Any]]:
    """Measures the parts that the run does not hold yet, and gives all that were asked for.

    Args:
        run: a finished run with its predictions.
        data: the data set that it was trained on.
        parts: names of `PARTS`.
        num_images: how many test images the robustness is measured on.
        label_folds: into how many folds the training images are cut to check their labels, each fold a training of its
            own; 0 to check the held-out labels alone, which costs nothing.
        seed: of subsets and noise.
        data_dir: where extracted archives of other data sets lie; None for the cache.
        say: takes a line for each part.

    Returns:
        Part -> record, as `read_records`.

    Raises:
        UnknownNameError: for a part that does not exist.
        InvalidValueError: for numbers out of range.
        RunError: when the run holds no predictions or no model.
        DataError: when `data` is not what the run was evaluated on.
    """
    for part in parts:
        if part not in PARTS:
            raise UnknownNameError("part of the analysis", part, PARTS)
    if num_images < 1 or label_folds < 0 or label_folds == 1:
        raise InvalidValueError(
            f"num_images is {num_images} and label_folds {label_folds}; expected 1 or more, and 0 or 2 or more"
        )
    subject = Subject(
        run=run,
        data=data,
        predictions=_predictions_of(run, data),
        predict=_loaded_late(run),
        num_images=num_images,
        label_folds=label_folds,
        seed=seed,
        data_dir=data_dir,
        say=say,
    )
    model = digest(run.onnx_model if run.onnx_model.is_file() else run.keras_model)
    return {part: _part(part, subject, model) for part in parts}


def _predictions_of(run: Run, data: DataSet) -> dict[str, Predictions]:
    if not run.predictions.is_file():
        raise RunError(f"the run '{run.folder}' has no {run.predictions.name}: it did not finish; train it again")
    predictions = read_predictions(run.predictions)
    if not np.array_equal(predictions["test"].labels, data.test.labels):
        raise DataError(
            f"{data.name} has other test images than the run '{run.folder}' was scored on"
            f" ({len(data.test):,}; expected {len(predictions['test'].labels):,} in the same order):"
            " name the data set of the run"
        )
    return predictions


def _loaded_late(run: Run) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The run's predictor, opened when it is first asked: most parts live on stored predictions."""
    opened: list[Any] = []

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not opened:
            opened.append(predictor_of(run))
        result: NDArray[np.float32] = opened[0](images)
        return result

    return predict


def _part(part: str, subject: Subject, model: str) -> dict[str, Any]:
    key_of, measure = PARTS[part]
    before = _read_record(subject.run, part)
    kept = before["key"] if before is not None and before["key"]["model_sha256"] == model else {}
    key = {"model_sha256": model, **key_of(subject, kept)}
    if before is not None and before["key"] == key:
        return before
    subject.say(f"measuring {part}")
    started = time.perf_counter()
    record, arrays = measure(subject, key)
    seconds = time.perf_counter() - started
    record = {"part": part, "key": key, "seconds": round(seconds, 3), **record}
    with atomic_path(subject.run.analysis_arrays(part)) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    write_json(subject.run.analysis_record(part), record)
    return record


def _read_record(run: Run, part: str) -> dict[str, Any] | None:
    path = run.analysis_record(part)
    if not path.is_file():
        return None
    record: dict[str, Any] = read_json(path)
    return record


def read_records(run: Run) -> dict[str, dict[str, Any]]:
    """Part -> record, of the parts that the run holds, whatever they were measured with."""
    return dict(_records(run))


def _records(run: Run) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in PARTS:
        record = _read_record(run, part)
        if record is not None:
            yield part, record


def read_arrays(run: Run, part: str) -> dict[str, NDArray[Any]]:
    """The pictures and arrays of one part that the run holds.

    Raises:
        UnknownNameError: for a part that does not exist.
        RunError: when the run does not hold it.
    """
    if part not in PARTS:
        raise UnknownNameError("part of the analysis", part, PARTS)
    path = run.analysis_arrays(part)
    if not path.is_file():
        raise RunError(f"the run '{run.folder}' has no {path.name}: `tinysight report` measures it")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
