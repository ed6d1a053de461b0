"""`tinysight bench exports`: size, speed and accuracy of a run in each format, on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinysight.cores import num_cores
from tinysight.export.build import Export, make_exports, open_exported
from tinysight.export.formats import Wanted
from tinysight.export.held_out import HeldOut, load_held_out
from tinysight.export.timing import BATCH_SIZE, Timing, measure
from tinysight.files import write_json
from tinysight.runs import Run, open_run

Say = Callable[[str], None]
COMPARED = (
    Wanted(format="onnx"),
    Wanted(format="litert"),
    Wanted(format="onnx", quantize="int8"),
    Wanted(format="litert", quantize="int8"),
)
# Which program runs a format.
RUNTIMES = {"keras": "Keras on TensorFlow", "onnx": "ONNX Runtime", "litert": "LiteRT"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One format as measured.

    Attributes:
        runtime: the program that runs it, with "int8" where it is quantized.
        format: "keras", "onnx" or "litert".
        quantize: "int8" or None.
        num_bytes: size of the file.
        timing: on this machine, now.
        accuracy: on the run's test images, 0..1.
    """

    runtime: str
    format: str
    quantize: str | None
    num_bytes: int
    timing: Timing
    accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "runtime": self.runtime,
            "format": self.format,
            "quantize": self.quantize,
            "bytes": self.num_bytes,
            **asdict(self.timing),
            "accuracy": self.accuracy,
        }


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """All formats of a run, beside each other.

    Attributes:
        run: the run.
        data, num_images: what accuracy was measured on.
        processor: where, and with how many threads.
        num_threads: of each runtime.
        rows: one a format.
        failures: why a format is missing.
        plot: the picture.
    """

    run: Run
    data: str
    num_images: int
    processor: str
    num_threads: int
    rows: list[Row]
    failures: list[str]
    plot: Path

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "run": str(self.run.folder),
            "data": self.data,
            "num_images": self.num_images,
            "processor": self.processor,
            "num_threads": self.num_threads,
            "batch_size": BATCH_SIZE,
            "rows": [row.to_dict() for row in self.rows],
            "failures": self.failures,
            "plot": str(self.plot),
        }


def bench_exports(
    path: str | Path,
    *,
    data_dir: str | Path | None = None,
    own_model: str | None = None,
    say: Say = lambda text: None,
) -> Benchmark:
    """Writes every format anew into a temporary folder, checks and times it; stores a table and a picture.

    The runtimes take their turns, each with as many threads as there are cores; nothing else should run meanwhile.

    Args:
        path: a finished run's folder.
        data_dir: where extracted archives lie, or the run's own images by now; None for where they lay in training.
        own_model: `path/to/file.py:function`, for a net with classes of the person's own.
        say: takes lines for a person.

    Returns:
        Size, times and accuracy of each format, why a format is missing, and where the picture lies.

    Raises:
        RunError, DataError, ModelError: as `export_run`.
    """
    from tinysight.report.exports_figure import exports_figure
    from tinysight.report.plots import save
    from tinysight.training.backend import processor

    run = open_run(path)
    held_out = load_held_out(run, data_dir)
    say(f"writing and checking each format on {len(held_out.test):,} test images of {held_out.data}")
    rows, failures = _measure_all(run, held_out, own_model, say)
    result = Benchmark(
        run=run,
        data=held_out.data,
        num_images=len(held_out.test),
        processor=processor(),
        num_threads=num_cores(),
        rows=rows,
        failures=failures,
        plot=run.export_benchmark_plot,
    )
    save(exports_figure([row.to_dict() for row in rows], result.processor), result.plot)
    write_json(run.export_benchmark, result.to_dict())
    return result


def _measure_all(run: Run, held_out: HeldOut, own_model: str | None, say: Say) -> tuple[list[Row], list[str]]:
    with tempfile.TemporaryDirectory(prefix="tinysight-bench-") as folder:
        # An int8 file that loses more than a point is measured too: that loss is what the table is for.
        outcome = make_exports(run, held_out, COMPARED, Path(folder), own_model=own_model, force=True, is_timed=True)
        if outcome.keras_timing is None:
            raise RuntimeError("Keras was not timed")
        keras = Row(
            runtime=RUNTIMES["keras"],
            format="keras",
            quantize=None,
            num_bytes=run.keras_model.stat().st_size,
            timing=outcome.keras_timing,
            accuracy=outcome.keras_accuracy,
        )
        rows = [keras]
        for made in outcome.exports:
            say(f"timing {made.wanted.title}")
            rows.append(_measured(made, held_out))
    return rows, [str(failure) for failure in outcome.failures]


def _measured(made: Export, held_out: HeldOut) -> Row:
    wanted = made.wanted
    return Row(
        runtime=" ".join(filter(None, [RUNTIMES[wanted.format], wanted.quantize])),
        format=wanted.format,
        quantize=wanted.quantize,
        num_bytes=made.num_bytes,
        timing=measure(open_exported(wanted, made.path), held_out.test.images),
        accuracy=made.parity.accuracy,
    )
