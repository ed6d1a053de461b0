"""Time per step, bytes exchanged and efficiency of one training on several processes of this machine.

python benchmarks/cluster_step.py --workers 1 2

Each worker is a process with one processor of its own, as on a cluster; Ray, which places workers but takes no part in
steps, is left out. Images are noise, 32x32 in colour. First all share one global batch, then every worker has as much
to do as one alone. Prints a Markdown table, and with --json the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WARM_UP = 10
LOOPBACK = Path("/proc/net/dev")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--recipes", nargs="+", default=["quick", "tensorflow"])
    parser.add_argument("--batch", type=int, default=512, help="images a step of one worker")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(work(**json.loads(options.child))))
        return
    if max(options.workers) > len(processors()):
        sys.exit(f"{max(options.workers)} workers on {len(processors())} processors: every worker needs one")
    figures = [
        measure(recipe, count, batch, options.steps, options.rounds)
        for recipe in options.recipes
        for count, batch in settings(options.workers, options.batch)
    ]
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print(table(figures, options.batch))


def processors() -> list[int]:
    """Those that this process may use; not every system can tie a process to one."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def settings(workers: list[int], batch: int) -> list[tuple[int, int]]:
    """(workers, global batch): the same batch for all, then the same part for each."""
    return list(dict.fromkeys([*((count, batch) for count in workers), *((count, batch * count) for count in workers)]))


def measure(recipe: str, count: int, batch: int, steps: int, rounds: int) -> dict[str, Any]:
    """The median over rounds of the first worker's median step."""
    found = [run(recipe, count, batch, steps) for _ in range(rounds)]
    seconds = sorted(one["seconds"] for one in found)
    print(f"{recipe}, {count} workers, batch {batch}: {[round(1000 * one, 2) for one in seconds]} ms", file=sys.stderr)
    return {
        "recipe": recipe, "workers": count, "batch": batch, "parameters": found[0]["parameters"],
        "seconds": statistics.median(seconds), "fastest": seconds[0], "slowest": seconds[-1],
        "bytes": statistics.median(one["bytes"] for one in found),
    }  # fmt: skip


def run(recipe: str, count: int, batch: int, steps: int) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting_point = f"127.0.0.1:{free.getsockname()[1]}"
    children = []
    for rank in range(count):
        told = {
            "recipe": recipe, "rank": rank, "count": count, "batch": batch, "steps": steps,
            "meeting_point": meeting_point, "processor": processors()[rank],
        }  # fmt: skip
        children.append(
            subprocess.Popen(
                [sys.executable, __file__, "--child", json.dumps(told)], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, encoding="utf-8",
            )
        )  # fmt: skip
    outputs = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        sys.exit(f"a worker failed: {[child.returncode for child in children]}")
    first: dict[str, Any] = json.loads(outputs[0].splitlines()[-1])
    return first


def work(
    recipe: str, rank: int, count: int, batch: int, steps: int, meeting_point: str, processor: int
) -> dict[str, Any]:
    """One worker: its share of `steps` steps."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {processor})
    from tinysight.cluster.worker import join

    join(meeting_point, rank, count, "cpu")
    import tempfile

    import keras
    import numpy as np

    from tinysight.images import ImageSet
    from tinysight.models.registry import build_training_net
    from tinysight.recipe import load_recipe
    from tinysight.training.fit import fit
    from tinysight.training.sharing import Share

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        """The time and the bytes on the loopback after each step, whose loss is waited for."""

        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []
            self.bytes: list[int] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            float(logs["loss"])
            self.times.append(time.perf_counter())
            self.bytes.append(loopback_bytes())

    rng = np.random.default_rng(0)
    num_images = batch * steps
    images = ImageSet(
        images=rng.integers(0, 256, (num_images, 32, 32, 3), dtype=np.uint8),
        labels=rng.integers(0, 10, num_images, dtype=np.int32), class_names=tuple("abcdefghij"),
    )  # fmt: skip
    made = load_recipe(recipe, batch_size=batch, epochs=1, validation="none")
    keras.utils.set_random_seed(0)
    net = build_training_net(made, images.image_shape, images.num_classes)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            made, net, images, None, history_path=Path(folder) / "history.csv", quiet=True, callbacks=[clock],
            share=Share(rank=rank, count=count),
        )  # fmt: skip
    taken = np.diff(clock.times)[WARM_UP:]
    return {
        "seconds": float(np.median(taken)),
        "parameters": int(sum(np.prod(variable.shape) for variable in net.trainable_variables)),
        "bytes": (clock.bytes[-1] - clock.bytes[WARM_UP]) / (len(clock.bytes) - 1 - WARM_UP),
    }


def loopback_bytes() -> int:
    """Bytes that went over the loopback so far, of all processes; 0 where the system does not tell."""
    if not LOOPBACK.is_file():
        return 0
    lines = LOOPBACK.read_text(encoding="utf-8").splitlines()
    return next((int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("lo:")), 0)


def table(figures: list[dict[str, Any]], batch: int) -> str:
    alone = {one["recipe"]: one["seconds"] for one in figures if (one["workers"], one["batch"]) == (1, batch)}
    lines = [
        "| net | workers | global batch | ms a step (of rounds) | gradients | exchanged a step | efficiency |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in figures:
        work_done = one["batch"] / batch
        efficiency = alone[one["recipe"]] * work_done / (one["workers"] * one["seconds"])
        lines.append(
            f"| {one['recipe']} | {one['workers']} | {one['batch']:,} | {1000 * one['seconds']:.1f}"
            f" ({1000 * one['fastest']:.1f} to {1000 * one['slowest']:.1f}) | {4 * one['parameters'] / 1e6:.2f} MB |"
            f" {one['bytes'] / 1e6:.2f} MB | {efficiency:.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
