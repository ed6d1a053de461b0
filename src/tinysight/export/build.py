"""From a run to checked files: everything is made in a temporary folder, and only what passes is put in its place."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.cores import num_cores
from tinysight.errors import ModelError
from tinysight.export.formats import Wanted
from tinysight.export.held_out import HeldOut
from tinysight.export.parity import Parity, compare, require_equal, require_small_loss
from tinysight.export.timing import Timing
from tinysight.export.worker import Job, full_disk_said, output_path, start_worker
from tinysight.files import atomic_path, read_json
from tinysight.recipe import load_recipe
from tinysight.runs import Run, export_name, read_summary
from tinysight.serving.model_info import ModelInfo, to_json


@dataclass(frozen=True, kw_only=True)
class Export:
    """One file, or folder, that passed its check.

    Attributes:
        wanted: format and quantization.
        path: where it lies.
        num_bytes: its size; of a folder, of all files in it.
        parity: how it answers, beside Keras.
    """

    wanted: Wanted
    path: Path
    num_bytes: int
    parity: Parity

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        parity = asdict(self.parity)
        del parity["num_changed_labels"]
        return {
            "format": self.wanted.format,
            "quantize": self.wanted.quantize,
            "path": str(self.path),
            "bytes": self.num_bytes,
            **parity,
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of the formats that were asked for.

    Attributes:
        exports: the files that passed, in the order asked.
        failures: an error for each that did not.
        keras_accuracy: of the Keras model itself on the same images, 0..1.
        keras_timing: of it, where that was asked for.
    """

    exports: list[Export]
    failures: list[ModelError]
    keras_accuracy: float
    keras_timing: Timing | None


def make_exports(
    run: Run,
    held_out: HeldOut,
    wanted: Sequence[Wanted],
    folder: Path,
    *,
    own_model: str | None = None,
    force: bool = False,
    is_timed: bool = False,
) -> Outcome:
    """Writes each format, checks it on every test image, and keeps what passes.

    Args:
        run: a finished run.
        held_out: its images.
        wanted: what to make.
        folder: where it goes; a file of the same name is replaced, in one step.
        own_model: `path/to/file.py:function`, for a net with classes of the person's own.
        force: whether an int8 file may lose more than a point of accuracy.
        is_timed: whether to measure Keras too.

    Raises:
        ModelError: when the run's model cannot be loaded at all.
        DiskFullError: when the temporary folder, or `folder`, has too little room.
    """
    with tempfile.TemporaryDirectory(prefix="tinysight-export-") as name:
        work = Path(name)
        with full_disk_said(work):
            np.save(work / "images.npy", held_out.test.images)
            np.save(work / "calibration.npy", held_out.calibration)
        job = Job(
            run=str(run.folder),
            own_model=own_model,
            info=to_json(describe(run)),
            wanted=tuple(item for item in wanted if item.format != "web"),
            is_timed=is_timed,
        )
        result = start_worker(job, work)
        expected = np.load(work / "expected.npy")
        exports, failures = [], []
        for item in wanted:
            try:
                with full_disk_said(work):
                    made = _made(run, item, job, result["errors"], work)
                    parity = _checked(item, made, work, expected, held_out, force)
            except ModelError as error:
                failures.append(error)
            else:
                exports.append(_place(item, made, folder, parity))
    timing = result["timing"]
    return Outcome(
        exports=exports,
        failures=failures,
        keras_accuracy=float(np.mean(expected.argmax(axis=1) == held_out.test.labels)),
        keras_timing=None if timing is None else Timing(**timing),
    )


def describe(run: Run) -> ModelInfo:
    """The record that travels with every file of a run: classes, input size, and where it comes from."""
    described, recipe, summary = read_json(run.data), load_recipe(str(run.recipe)), read_summary(run)
    return ModelInfo(
        class_names=tuple(described["class_names"]),
        image_shape=tuple(described["image_shape"]),
        recipe=recipe.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=importlib.metadata.version("tinysight"),
        num_views=recipe.num_views,
        extra={
            "run": run.name,
            "data": described["name"],
            "parameters": recipe.parameters,
            "test_accuracy": summary["test_accuracy"],
        },
    )


def _made(run: Run, item: Wanted, job: Job, errors: dict[str, str], work: Path) -> Path:
    if item.format == "web":
        from tinysight.export import web  # type: ignore[attr-defined, unused-ignore]

        folder = work / export_name("web")
        web.write_web(run, folder)
        return folder
    number = job.wanted.index(item)
    if str(number) in errors:
        raise ModelError(errors[str(number)])
    return output_path(work, number, item)


def _checked(
    item: Wanted, made: Path, work: Path, expected: NDArray[np.float32], held_out: HeldOut, force: bool
) -> Parity:
    came = predictions_of(item, made, held_out.test.images, work)
    parity = compare(expected, came, held_out.test.labels, item.title)
    if item.quantize is None:
        require_equal(parity, item.title)
    else:
        require_small_loss(parity, item.title, force=force)
    return parity


def predictions_of(item: Wanted, path: Path, images: NDArray[np.uint8], work: Path) -> NDArray[np.float32]:
    """What an exported file answers, by the runtime that it is made for; float32, shape (n, classes)."""
    predict = open_exported(item, path)
    if predict is None:
        return np.asarray(np.load(work / f"came-{path.parent.name}.npy"), np.float32)
    # The first image by itself and then the others: a batch of one and a last, smaller batch are shapes of their own.
    return np.concatenate([predict(images[:1]), predict(images[1:])])


def open_exported(item: Wanted, path: Path, num_threads: int = 0) -> Any:
    """A function from uint8 images to probabilities, or None for what only TensorFlow runs.

    Args:
        item: format and quantization.
        path: the file or folder.
        num_threads: threads within one operation; 0 for as many as there are cores.
    """
    threads = num_threads or num_cores()
    if item.format == "litert":
        from tinysight.export.litert_model import LiteRTModel

        return LiteRTModel(path, num_threads=threads).predict
    if item.format in ("onnx", "web"):
        from tinysight.serving.predictor import Predictor

        model = path if item.format == "onnx" else next(path.rglob("*.onnx"))
        return Predictor(model, num_threads=threads).predict
    return None


def _place(item: Wanted, made: Path, folder: Path, parity: Parity) -> Export:
    target = folder / export_name(item.format, item.quantize)
    if made.is_dir():
        _place_folder(made, target)
    else:
        with atomic_path(target) as temporary:
            shutil.copyfile(made, temporary)
    files = [path for path in target.rglob("*") if path.is_file()] if target.is_dir() else [target]
    return Export(wanted=item, path=target, num_bytes=sum(path.stat().st_size for path in files), parity=parity)


def _place_folder(made: Path, target: Path) -> None:
    """Copies beside the target first, so that what is in the way is gone only for the time of a rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as name:
        fresh, old = Path(name) / "fresh", Path(name) / "old"
        shutil.copytree(made, fresh)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
