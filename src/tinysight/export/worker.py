"""Everything that needs TensorFlow, in a process of its own: `python -m tinysight.export.worker FOLDER`.

TensorFlow is a dependency on every machine, so there is one exporter whatever the training ran on, and what its
converters print stays in here. The folder holds `job.json`, `images.npy` and `calibration.npy`; the answers are
`result.json`, `expected.npy` (Keras's probabilities of the images) and, for each file N that only TensorFlow can run,
`came-N.npy`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinysight.errors import DiskFullError, ModelError, TinysightError
from tinysight.export.formats import Wanted
from tinysight.files import is_disk_full, read_json, write_json
from tinysight.runs import Run, export_name
from tinysight.serving.model_info import from_json

# What the process ends with when its folder is full.
_DISK_FULL = 28


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the process is to do.

    Attributes:
        run: the run's folder.
        own_model: `path/to/file.py:function`, the person's own code that the net is built with, or None.
        info: the record for the files, as JSON.
        wanted: the files to make.
        is_timed: whether to measure Keras itself.
    """

    run: str
    own_model: str | None
    info: str
    wanted: tuple[Wanted, ...]
    is_timed: bool


def start_worker(job: Job, folder: Path) -> dict[str, Any]:
    """Runs the job in another process.

    Returns:
        As `read_result`.

    Raises:
        ModelError: when the run's model cannot be loaded.
        DiskFullError: when `folder` has too little room.
    """
    write_job(job, folder)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-P", "-m", "tinysight.export.worker", str(folder)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode == _DISK_FULL:
        raise _disk_full(folder)
    if not (folder / "result.json").is_file():
        raise RuntimeError(f"the exporting process ended with status {done.returncode}:\n{done.stderr[-4000:]}")
    return read_result(folder)


@contextlib.contextmanager
def full_disk_said(folder: Path) -> Iterator[None]:
    """Raises a DiskFullError, in words that help, when the temporary `folder` has too little room."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise _disk_full(folder) from None
        raise


def _disk_full(folder: Path) -> DiskFullError:
    return DiskFullError(
        f"the disk is full: the temporary folder {folder.parent} has too little room for the export; free some space,"
        " or name another folder with TMPDIR"
    )


def write_job(job: Job, folder: Path) -> None:
    """Puts the job where `main` finds it."""
    write_json(folder / "job.json", asdict(job))


def read_result(folder: Path) -> dict[str, Any]:
    """What `main` left.

    Returns:
        "errors", file number -> why it was not made; "timing", of Keras, or None.

    Raises:
        ModelError: when the run's model could not be loaded.
    """
    result: dict[str, Any] = read_json(folder / "result.json")
    if result["fatal"] is not None:
        raise ModelError(result["fatal"])
    return result


def main(folder: Path) -> None:
    """Does the job that lies in `folder`; Keras's backend in this process is TensorFlow."""
    from tinysight.training.backend import choose_backend

    choose_backend("cpu")
    from tinysight.export.loading import load_for_export
    from tinysight.export.writers import TENSORFLOW_RUNS, write_format

    job = _read_job(folder / "job.json")
    result: dict[str, Any] = {"fatal": None, "errors": {}, "timing": None}
    try:
        model = load_for_export(Run(job.run), job.own_model)
    except TinysightError as error:
        titles = ", ".join(wanted.title for wanted in job.wanted)
        write_json(folder / "result.json", result | {"fatal": f"no export to {titles}: {error}"})
        return
    images, calibration = np.load(folder / "images.npy"), np.load(folder / "calibration.npy")
    info = from_json(job.info)
    # All views of an image go through the net at once.
    batch_size = max(1, 256 // info.num_views)
    np.save(folder / "expected.npy", np.asarray(model.predict(images, batch_size=batch_size, verbose=0), np.float32))
    for number, wanted in enumerate(job.wanted):
        try:
            path = output_path(folder, number, wanted)
            write_format(model, wanted, path, info, calibration)
            if wanted.format in TENSORFLOW_RUNS:
                np.save(folder / f"came-{number}.npy", TENSORFLOW_RUNS[wanted.format](path, images, batch_size))
        except ModelError as error:
            result["errors"][str(number)] = str(error)
    if job.is_timed:
        from tinysight.export.timing import measure

        result["timing"] = asdict(measure(model.predict_on_batch, images))
    write_json(folder / "result.json", result)


def output_path(folder: Path, number: int, wanted: Wanted) -> Path:
    """Where file `number` of a job is written."""
    return folder / str(number) / export_name(wanted.format, wanted.quantize)


def _read_job(path: Path) -> Job:
    values = read_json(path)
    return Job(**values | {"wanted": tuple(Wanted(**wanted) for wanted in values["wanted"])})


if __name__ == "__main__":
    try:
        with full_disk_said(Path(sys.argv[1])):
            main(Path(sys.argv[1]))
    except DiskFullError:
        sys.exit(_DISK_FULL)
