"""`tinysight bench service`: what a run's service answers under load, beside ONNX Runtime alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tinysight.runs import Run, open_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Say = Callable[[str], None]
NUM_FILES, BATCH_SIZE = 1024, 256
# Turns of the service and the bare runtime; what disturbs the machine for a while disturbs both.
NUM_ROUNDS = 4
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What clients got that put so many images into each request.

    Attributes:
        file_format: of the images, "PNG" or "BMP".
        image_bytes: mean size of a file.
        images_per_request: of each request; a client sends the next when it has the answer.
        num_requests, num_images: that were answered.
        seconds: in which, over all rounds.
        images_per_second: the same as a rate.
        ratio: that, divided by the rate of the bare runtime in the same rounds.
        p50_ms, p99_ms: from sending a request to having its whole answer, milliseconds.
        errors: how often each kind of failure came.
    """

    file_format: str
    image_bytes: float
    images_per_request: int
    num_requests: int
    num_images: int
    seconds: float
    images_per_second: float
    ratio: float
    p50_ms: float
    p99_ms: float
    errors: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class ServiceBenchmark:
    """A run's service under load.

    Attributes:
        run: the run.
        processor, num_threads: where; threads that this process may use.
        num_clients, seconds: asked for.
        num_rounds: turns of service and bare runtime.
        runtime_images_per_second: ONNX Runtime alone on the decoded images, in batches of `BATCH_SIZE`.
        asked: many PNG files in a request, many BMP files, one PNG file.
    """

    run: Run
    processor: str
    num_threads: int
    num_clients: int
    seconds: float
    num_rounds: int
    runtime_images_per_second: float
    asked: list[Asked]

    @property
    def num_errors(self) -> int:
        """Of all requests."""
        return sum(sum(asked.errors.values()) for asked in self.asked)

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {**asdict(self), "run": str(self.run.folder), "batch_size": BATCH_SIZE}


@dataclass
class _Sum:
    """Rounds of one kind, added up."""

    num_images: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    def add(self, load: dict[str, Any]) -> None:
        self.num_images += load["num_images"]
        self.seconds += load["seconds"]
        self.latencies += load["latencies"]
        for kind, count in load["errors"].items():
            self.errors[kind] = self.errors.get(kind, 0) + count

    @property
    def rate(self) -> float:
        return self.num_images / self.seconds


def bench_service(
    path: str | Path,
    *,
    num_clients: int = 64,
    seconds: float = 60.0,
    images_per_request: int = 64,
    data_dir: str | Path | None = None,
    say: Say = lambda text: None,
) -> ServiceBenchmark:
    """Loads the run's service and measures the bare runtime in turns; nothing else should run meanwhile.

    The service is a process of its own as `tinysight serve` starts it, and so are the clients. They send the run's test
    images in the model's size: as PNG, as most people have them; as BMP, which is larger and costs next to nothing to
    decode; and one PNG file in a request. The runtime has its own defaults and all cores.

    Args:
        path: a finished run's folder.
        num_clients: connections, each with one request at a time.
        seconds: under load with `images_per_request`, as long for PNG as for BMP; half of it with one image in a
            request, and half of it for the runtime.
        images_per_request: what a client puts into a form.
        data_dir: where extracted archives lie, or the run's own images by now; None for where they lay in training.
        say: takes lines for a person.

    Returns:
        The runtime's own rate, and for each kind of request rate, latency and errors.

    Raises:
        RunError, DataError, ModelError: when the run, its data or its model cannot be had.
    """
    from tinysight.cores import num_cores
    from tinysight.export.held_out import load_held_out
    from tinysight.serving.predictor import load_predictor
    from tinysight.training.backend import processor

    run = open_run(path)
    model = load_predictor(path).path
    images = load_held_out(run, data_dir).test.images[:NUM_FILES]
    loads = [("PNG", images_per_request, seconds), ("BMP", images_per_request, seconds), ("PNG", 1, seconds / 2)]
    totals, runtime = [_Sum() for _ in loads], _Sum()
    with tempfile.TemporaryDirectory(prefix="tinysight-bench-") as name:
        folder = Path(name)
        image_bytes = {kind: _write_files(images, folder / kind, kind) for kind in ("PNG", "BMP")}
        bare = _bare_runtime(model, images)
        with _service(path) as address, _clients(address) as ask:
            ask(folder / "PNG", num_clients, images_per_request, WARM_UP_SECONDS)
            for number in range(NUM_ROUNDS):
                say(f"round {number + 1} of {NUM_ROUNDS}: {3 * seconds / NUM_ROUNDS:.0f} s")
                runtime.add(bare(seconds / NUM_ROUNDS / 2))
                for total, (kind, num_images, span) in zip(totals, loads, strict=True):
                    total.add(ask(folder / kind, num_clients, num_images, span / NUM_ROUNDS))
    return ServiceBenchmark(
        run=run,
        processor=processor(),
        num_threads=num_cores(),
        num_clients=num_clients,
        seconds=seconds,
        num_rounds=NUM_ROUNDS,
        runtime_images_per_second=runtime.rate,
        asked=[
            _asked(total, kind, image_bytes[kind], num_images, runtime.rate)
            for total, (kind, num_images, _) in zip(totals, loads, strict=True)
        ],
    )


def _asked(total: _Sum, file_format: str, image_bytes: float, images_per_request: int, runtime_rate: float) -> Asked:
    import numpy as np

    # A service that answers nothing has no latency; NaN would be no JSON.
    p50, p99 = 1000 * np.percentile(total.latencies or [0.0], [50, 99])
    return Asked(
        file_format=file_format,
        image_bytes=image_bytes,
        images_per_request=images_per_request,
        num_requests=len(total.latencies),
        num_images=total.num_images,
        seconds=total.seconds,
        images_per_second=total.rate,
        ratio=total.rate / runtime_rate,
        p50_ms=float(p50),
        p99_ms=float(p99),
        errors=total.errors,
    )


def _write_files(images: NDArray[np.uint8], folder: Path, file_format: str) -> float:
    """A folder of numbered files; their mean size in bytes."""
    from PIL import Image

    folder.mkdir()
    sizes = []
    for number, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(buffer, file_format)
        (folder / f"{number:06}").write_bytes(buffer.getvalue())
        sizes.append(len(buffer.getvalue()))
    return sum(sizes) / len(sizes)


def _bare_runtime(model: Path, images: NDArray[np.uint8]) -> Callable[[float], dict[str, Any]]:
    """A function that runs the model for so many seconds, as a program would that does nothing else."""
    import numpy as np

    from tinysight.onnx_runtime import load_onnxruntime

    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    batches = [
        np.resize(images[start:], (BATCH_SIZE, *images.shape[1:])) for start in range(0, len(images), BATCH_SIZE)
    ]

    def run(seconds: float) -> dict[str, Any]:
        num_batches, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            session.run(None, {name: batches[num_batches % len(batches)]})
            num_batches += 1
        taken = time.perf_counter() - start
        return {"num_images": num_batches * BATCH_SIZE, "seconds": taken, "latencies": [], "errors": {}}

    run(0.2)
    return run


@contextmanager
def _service(path: str | Path) -> Iterator[tuple[str, int]]:
    """`tinysight serve` as a process, and where it listens."""
    command = [sys.executable, "-P", "-m", "tinysight", "serve", str(path), "--port", "0", "--json"]
    with _process(command) as process:
        url = urlsplit(_read_object(process.stdout)["url"])
        yield str(url.hostname), int(url.port or 0)
        process.terminate()
        process.wait(60)


@contextmanager
def _clients(address: tuple[str, int]) -> Iterator[Callable[[Path, int, int, float], dict[str, Any]]]:
    """The clients' process, and a function that lets them ask for some seconds."""
    with _process([sys.executable, "-P", "-m", "tinysight.serving.load_client"]) as process:
        assert process.stdin is not None

        def ask(files: Path, num_clients: int, images_per_request: int, seconds: float) -> dict[str, Any]:
            wanted = {"num_clients": num_clients, "num_images": images_per_request, "seconds": seconds}
            line = json.dumps({"address": address, "files": str(files), **wanted})
            print(line, file=process.stdin, flush=True)
            return _read_object(process.stdout)

        yield ask
        process.stdin.close()
        process.wait(60)


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A child that speaks JSON; what it says on stderr goes where this process's own words go."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _read_object(lines: IO[str] | None) -> dict[str, Any]:
    """The next JSON object, on one line or on several."""
    text = ""
    for line in lines or ():
        text += line
        if line.rstrip() == "}" or (text == line and line.rstrip().endswith("}")):
            value: dict[str, Any] = json.loads(text)
            return value
    raise RuntimeError(f"a process that was being measured ended; it said last: {text!r}")
