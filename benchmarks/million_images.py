"""Trains on a folder of a million pictures of 32x32: how fast beside images in memory, and with how much memory.

python benchmarks/million_images.py --folder /somewhere/with/8/GB/free

Makes the folder (uncompressed BMP: noise with a stripe that tells the class), then
- trains on it and on one of 10,000 with `tinysight train`, and follows the memory of these processes: what is resident
  apart from files (RssAnon, Linux), whose pages in the cache the system takes back when it needs them;
- trains the same net in turns with images read from the cache on disk and with all of them in memory, and compares
  images a second of wall time and of processor time. The first steps, in which the net is compiled, are left out.
The figures go into docs/benchmarks.md. Folder and cache are removed at the end, unless `--keep` is given.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE, NUM_CLASSES, FEW = 32, 10, 10_000
RECIPE = "sprint"
STEPS_LEFT_OUT = 200
# Of a BMP: 54 bytes of header, then 24-bit rows from the bottom to the top.
HEADER = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + 3 * SIDE * SIDE, 0, 54, 40, SIDE, SIDE, 1, 24, *[0] * 6)


def make_folder(folder: Path, count: int) -> Path:
    """`count` pictures in class folders; one that is there whole is taken as it is."""
    done = folder.with_name(f"{folder.name}.whole")
    if done.exists():
        return folder
    for label in range(NUM_CLASSES):
        (folder / f"class-{label}").mkdir(parents=True, exist_ok=True)
    for first in range(0, count, 10_000):
        for number, pixels in enumerate(noise(first, min(10_000, count - first)), first):
            path = folder / f"class-{number % NUM_CLASSES}" / f"{number:07}.bmp"
            path.write_bytes(HEADER + pixels.tobytes())
        print(f"\r{first + 10_000:,} of {count:,} pictures made", end="", file=sys.stderr)
    print(file=sys.stderr)
    done.touch()
    return folder


def noise(first: int, count: int) -> NDArray[np.uint8]:
    """uint8 (count, 32, 32, 3): noise, with a bright stripe at the height of the class."""
    pixels = np.random.default_rng(first).integers(0, 200, (count, SIDE, SIDE, 3), np.uint8)
    labels = (first + np.arange(count)) % NUM_CLASSES
    pixels[np.arange(count), 3 * labels] |= 192
    return pixels


@dataclasses.dataclass
class Watched:
    """What a process came to.

    Attributes:
        seconds: wall time.
        peak: its largest resident memory apart from files, bytes; None where the system does not tell.
        printed: what it printed.
    """

    seconds: float
    peak: int | None
    printed: str


def watch(command: Sequence[str], cache: Path) -> Watched:
    """Runs a process and looks at its memory fifty times a second; processes that it starts are not counted."""
    environment = {**os.environ, "TINYSIGHT_CACHE": str(cache), "PYTHONWARNINGS": "ignore"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, encoding="utf-8"
    )
    peaks = [0]

    def look() -> None:
        while process.poll() is None:
            peaks.append(anonymous_bytes(process.pid))
            time.sleep(0.02)

    watcher = threading.Thread(target=look)
    watcher.start()
    printed, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
    return Watched(time.perf_counter() - started, max(peaks) or None, printed)


def anonymous_bytes(process: int) -> int:
    """Resident memory of a process that is no file's; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))


def train_whole(folder: Path, cache: Path, out: Path, steps: int) -> Watched:
    """`tinysight train` on a folder, as a process."""
    words = ("train", RECIPE, "--data", str(folder), "--set", f"steps={steps}")
    more = ("--no-report", "--quiet", "--json", "--device", "cpu", "--out", str(out))
    return watch([sys.executable, "-m", "tinysight", *words, *more], cache)


def measure_rate(folder: Path, *, in_memory: bool, steps: int, out: Path) -> dict[str, Any]:
    """Trains in this process; images a second of wall time and of processor time."""
    from tinysight import train
    from tinysight.data.source import load_data
    from tinysight.recipe import load_recipe
    from tinysight.stored import StoredImages
    from tinysight.training.backend import choose_backend

    choose_backend("cpu")
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        begun: tuple[float, float, int] | None = None

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.perf_counter(), time.process_time(), batch
            if self.begun is None and batch >= STEPS_LEFT_OUT:
                self.begun = now
            self.end = now

    data = load_data(folder)
    assert isinstance(data.train.images, StoredImages)
    if in_memory:
        data = dataclasses.replace(data, train=dataclasses.replace(data.train, images=np.asarray(data.train.images)))
    clock = Clock()
    run = train(RECIPE, data=data, out=out, device="cpu", quiet=True, report=False, callbacks=[clock], steps=steps)
    assert clock.begun is not None
    wall, processor, batches = (end - begun for end, begun in zip(clock.end, clock.begun, strict=True))
    images = batches * load_recipe(str(run.recipe)).batch_size
    return {"per_second": images / wall, "per_processor_second": images / processor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where pictures and cache go; without it the system's")
    parser.add_argument("--steps", type=int, default=1000, help="of each training, 200 images each")
    parser.add_argument("--rounds", type=int, default=3, help="turns of disk and memory")
    parser.add_argument("--keep", action="store_true", help="leaves pictures and cache for another call")
    parser.add_argument("--rehearse", action="store_true", help="prints the section instead of writing it")
    parser.add_argument("--rate-of", choices=["disk", "memory"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rate_of is not None:
        with tempfile.TemporaryDirectory() as out:
            in_memory = options.rate_of == "memory"
            found = measure_rate(options.folder, in_memory=in_memory, steps=options.steps, out=Path(out) / "run")
        print(json.dumps(found))
        return
    own = options.folder is None
    place = Path(tempfile.mkdtemp()) if own else options.folder / "million-images"
    place.mkdir(parents=True, exist_ok=True)
    try:
        measure(place, options)
    finally:
        if not options.keep:
            shutil.rmtree(place)


def measure(place: Path, options: argparse.Namespace) -> None:
    folders = {count: make_folder(place / f"pictures-{count}", count) for count in (FEW, options.images)}
    memory: dict[int, list[Watched]] = {}
    for count, folder in folders.items():
        # Twice: the first one decodes the pictures, the second one finds them decoded.
        for _ in range(2):
            shutil.rmtree(place / "run", ignore_errors=True)
            found = train_whole(folder, place / "cache", place / "run", options.steps)
            print(f"{count:,}: {found.seconds:.0f} s, {in_megabytes(found.peak)}", file=sys.stderr)
            memory.setdefault(count, []).append(found)
    rates: dict[str, list[dict[str, float]]] = {"disk": [], "memory": []}
    for round_number in range(options.rounds):
        for where in sorted(rates, reverse=bool(round_number % 2)):
            words = ("--rate-of", where, "--folder", str(folders[options.images]), "--steps", str(options.steps))
            found = watch([sys.executable, __file__, *words], place / "cache")
            rates[where].append(json.loads(found.printed))
            print(f"{where}: {found.printed.strip()}", file=sys.stderr)
    lines = section(options, memory, rates)
    print("\n".join(lines))
    if not options.rehearse:
        from own_section import put_section

        put_section("many images", lines)


def in_megabytes(size: int | None) -> str:
    return "memory not told here" if size is None else f"{size / 1e6:,.0f} MB"


def section(
    options: argparse.Namespace, memory: dict[int, list[Watched]], rates: dict[str, list[dict[str, float]]]
) -> list[str]:
    """What the page says, Markdown."""
    lines = [
        "## A million images",
        f"`python benchmarks/million_images.py --steps {options.steps} --rounds {options.rounds}`: `{RECIPE}` on a"
        f" folder of {options.images:,} pictures of {SIDE}x{SIDE} ({options.images * 3 * SIDE * SIDE / 1e9:.2f} GB"
        " decoded),"
        f" {options.steps:,} steps of 200 images in random order.",
        "",
        "| `tinysight train`, whole process | seconds | peak memory apart from files |",
        "| --- | ---: | ---: |",
    ]
    for count, found in memory.items():
        for which, watched in zip(("decoding them", "decoded before"), found, strict=True):
            lines.append(f"| {count:,} images, {which} | {watched.seconds:.0f} | {in_megabytes(watched.peak)} |")
    lines += [
        "",
        "| images | a second: median (smallest to largest) | a second of processor time |",
        "| --- | ---: | ---: |",
    ]
    for where, title in (("disk", "read from the cache on disk"), ("memory", "in memory")):
        values = [told([rate[key] for rate in rates[where]]) for key in ("per_second", "per_processor_second")]
        lines.append(f"| {title} | {values[0]} | {values[1]} |")
    ratios = [
        statistics.median(rate[key] for rate in rates["disk"])
        / statistics.median(rate[key] for rate in rates["memory"])
        for key in ("per_second", "per_processor_second")
    ]
    peaks = [max((watched.peak or 0) for watched in memory[count]) for count in (FEW, options.images)]
    lines += [
        "",
        f"From disk at {100 * ratios[0]:.0f} % of the rate in memory ({100 * ratios[1]:.0f} % by processor time;"
        f" wanted: at least 90 %), with {(peaks[1] - peaks[0]) / 1e6:,.0f} MB more than a run on {FEW:,} (wanted: at"
        " most 300 MB).",
    ]
    return lines


def told(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


if __name__ == "__main__":
    main()
