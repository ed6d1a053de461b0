"""A run is a folder of readable files; this is the only module that knows their names.

Every file is whole or absent, and `finished.json` is written last.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from tinysight.errors import RunError
from tinysight.files import check_name, read_json, write_json


class Run:
    """The folder of one training.

    Args:
        folder: where it lies; it need not exist yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    # What went in.
    @property
    def recipe(self) -> Path:
        """The recipe as used, TOML."""
        return self.folder / "recipe.toml"

    @property
    def environment(self) -> Path:
        """Versions, machine, backend, seed, command and time, JSON."""
        return self.folder / "environment.json"

    @property
    def data(self) -> Path:
        """Data set, class names, image shape and counts per split, JSON."""
        return self.folder / "data.json"

    @property
    def splits(self) -> Path:
        """Indices of training and validation images in the data set's training split, NumPy archive."""
        return self.folder / "splits.npz"

    # What came out.
    @property
    def history(self) -> Path:
        """One row an epoch, CSV: epoch, loss, metrics, learning rate, seconds."""
        return self.folder / "history.csv"

    @property
    def metrics(self) -> Path:
        """Final figures with n and interval, JSON."""
        return self.folder / "metrics.json"

    @property
    def predictions(self) -> Path:
        """Probabilities and labels of the validation and test images, NumPy archive."""
        return self.folder / "predictions.npz"

    @property
    def keras_model(self) -> Path:
        """The model from raw pixels to probabilities, Keras format."""
        return self.folder / "model.keras"

    @property
    def onnx_model(self) -> Path:
        """The same model for ONNX Runtime; class names and input rule are in its metadata."""
        return self.folder / "model.onnx"

    @property
    def architecture_json(self) -> Path:
        """The net as Keras JSON (with `--save-json`)."""
        return self.folder / "architecture.json"

    @property
    def weights_h5(self) -> Path:
        """The net's weights, HDF5 (with `--save-json`)."""
        return self.folder / "model.weights.h5"

    @property
    def plots(self) -> Path:
        return self.folder / "plots"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def model_card(self) -> Path:
        return self.folder / "MODEL_CARD.md"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, in `train` and `validation` (with `--tensorboard`)."""
        return self.folder / "tensorboard"

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    @property
    def export_benchmark(self) -> Path:
        """Size, speed and accuracy of the exported formats, JSON (`tinysight bench exports`)."""
        return self.exports / "benchmark.json"

    @property
    def export_benchmark_plot(self) -> Path:
        return self.exports / "benchmark.png"

    @property
    def analysis(self) -> Path:
        """What `tinysight report` computed beyond the training's own figures, JSON and NumPy archives."""
        return self.folder / "analysis"

    def analysis_record(self, part: str) -> Path:
        """The figures of one part of the analysis, JSON; written after its arrays."""
        return self.analysis / f"{part}.json"

    def analysis_arrays(self, part: str) -> Path:
        """The pictures and arrays that belong to the record of the same part, NumPy archive."""
        return self.analysis / f"{part}.npz"

    def label_issues(self, split: str) -> Path:
        """Likely wrong labels of one split, CSV, worst first."""
        return self.analysis / f"labels-{split}.csv"

    @property
    def explanations(self) -> Path:
        """The pictures of `tinysight explain`."""
        return self.folder / "explanations"

    @property
    def calibration(self) -> Path:
        """The temperature that the model holds, with figures before and after, JSON; absent where it holds none."""
        return self.folder / "calibration.json"

    @property
    def uncalibrated(self) -> Run:
        """Models, predictions and figures as they were before a temperature went into the model."""
        return Run(self.folder / "uncalibrated")

    @property
    def finished_marker(self) -> Path:
        """Written last: its presence says that everything else is there."""
        return self.folder / "finished.json"

    @property
    def is_finished(self) -> bool:
        return self.finished_marker.is_file()

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes the finished marker; `summary` is what the command printed."""
        write_json(self.finished_marker, summary)


class SeedRuns:
    """The folder of trainings that differ in their seed alone: a run folder each, and what they came to together.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def record(self) -> Path:
        """Every training's summary and the figures over all of them, JSON; written anew after each training."""
        return self.folder / "seeds.json"

    def run(self, seed: int) -> Run:
        """The training with that seed."""
        return Run(self.folder / f"seed-{seed}")


class SearchFolder:
    """The folder of a search for the best recipe.

    Args:
        folder: where it lies; it need not exist yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def base(self) -> Path:
        """The recipe that every trial starts from, TOML."""
        return self.folder / "base.toml"

    @property
    def space(self) -> Path:
        """What may be changed in it, TOML."""
        return self.folder / "space.toml"

    @property
    def description(self) -> Path:
        """Data, validation images and where they lie, JSON; written last before the first trial."""
        return self.folder / "search.json"

    @property
    def study(self) -> Path:
        """Every trial, Optuna's SQLite file."""
        return self.folder / "study.db"

    @property
    def best(self) -> Path:
        """The best recipe so far, TOML, to train from."""
        return self.folder / "best.toml"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    def history(self, number: int) -> Path:
        """A row an epoch of one trial, CSV."""
        return self.folder / "trials" / f"{number:05d}.csv"


# Export format -> what its file, or folder, is called.
EXPORT_NAMES = {
    "onnx": "model.onnx",
    "litert": "model.tflite",
    "saved-model": "saved-model",
    "keras": "model.keras",
    "web": "web",
}


def export_name(format_name: str, quantize: str | None = None) -> str:
    """What an export is called in its folder, as in `model.onnx`, or `model-int8.onnx` with `quantize="int8"`."""
    name = Path(EXPORT_NAMES[format_name])
    return name.name if quantize is None else f"{name.stem}-{quantize}{name.suffix}"


def create_run(out: str | Path | None, name: str, now: datetime | None = None) -> Run:
    """Makes a new, empty run folder.

    Args:
        out: the folder to use; None for `runs/NAME-DATE-TIME` under the current folder.
        name: what the run is called after, usually its recipe.
        now: the time in the folder's name.

    Raises:
        RunError: when `out` exists and is not an empty folder, or cannot be made.
        InvalidValueError: when its name is not UTF-8.
    """
    check_name(Path(out or "runs"))
    if out is None:
        stamp = (now or datetime.now()).strftime("%Y%m%d-%H%M%S")
        stem = f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name).strip('-.') or 'run'}-{stamp}"
        return _first_free(Path("runs"), stem)
    folder = Path(out)
    refuse_existing(folder)
    _make(folder, exist_ok=True)
    return Run(folder)


def refuse_existing(out: str | Path) -> None:
    """A run is never overwritten.

    Raises:
        RunError: when `out` exists and is not an empty folder.
    """
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists already; a run is never overwritten: name another folder with --out")


def _first_free(parent: Path, stem: str) -> Run:
    number = 1
    while True:
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            _make(folder, exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return Run(folder)


def _make(folder: Path, exist_ok: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        raise
    except OSError as error:
        raise RunError(f"cannot make the run folder {folder}: {error.strerror}; name another with --out") from None


def open_run(path: str | Path, *, finished: bool = True) -> Run:
    """The run in an existing folder.

    Args:
        path: the folder.
        finished: whether a run that did not end is an error.

    Raises:
        RunError: when `path` is no run folder, or is unfinished and `finished` is asked for.
    """
    run = Run(path)
    if not run.folder.is_dir():
        raise RunError(
            f"no run at '{path}': expected the folder that `tinysight train` printed, as in runs/NAME-DATE-TIME"
        )
    if SeedRuns(path).record.is_file():
        raise RunError(f"'{path}' holds one run for each of several seeds: name one of them, as in {path}/seed-0")
    if SearchFolder(path).description.is_file():
        raise RunError(f"'{path}' holds a search, not a run: `tinysight train {path}/best.toml` trains what it found")
    if not run.recipe.is_file():
        raise RunError(f"'{path}' is no run folder: it has no {run.recipe.name}")
    if finished and not run.is_finished:
        raise RunError(f"the run '{path}' did not finish: train it again, or look at its {run.history.name}")
    return run


def read_summary(run: Run) -> dict[str, Any]:
    """What the finished marker holds: the summary that the training printed."""
    summary: dict[str, Any] = read_json(run.finished_marker)
    return summary
