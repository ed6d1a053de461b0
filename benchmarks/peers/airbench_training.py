"""Trainings with the package airbench, timed as its own program times them: on one GPU, warm.

    python airbench_training.py 94|96 DATA.npz RUNS

Needs airbench, PyTorch with CUDA and torchvision, which Tinysight does not install. Timed are training and evaluation
with its averaged views; reading the images is not, nor the first run, in which everything is compiled.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def put_images(archive: str, folder: Path) -> None:
    """As its loader reads them, which otherwise fetches them."""
    import torch

    with np.load(archive, allow_pickle=False) as arrays:
        for split in ("train", "test"):
            images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"].ravel().astype(np.int64)
            saved = {"images": torch.tensor(images), "labels": torch.tensor(labels), "classes": [*map(str, range(10))]}
            torch.save(saved, folder / f"{split}.pt")


def timed_run(level: str, folder: Path, number: int) -> dict[str, float]:
    """Seconds and test accuracy of one training; the first number, -1, is its own warm-up."""
    import airbench
    import torch

    train: Any = getattr(airbench, f"train{level}")
    moved, cutout, size = {"94": (2, 0, 1024), "96": (4, 12, 1024)}[level]
    views = {"flip": True, "translate": moved} | ({"cutout": cutout} if cutout else {})
    images = airbench.CifarLoader(str(folder), train=True, batch_size=size, aug=views, altflip=True)
    test = airbench.CifarLoader(str(folder), train=False, batch_size=2000)
    torch.cuda.synchronize()
    started = time.perf_counter()
    net = train(images, run=number, verbose=False)
    accuracy = airbench.evaluate(net, test, tta_level=2)
    torch.cuda.synchronize()
    return {"seconds": time.perf_counter() - started, "accuracy": accuracy}


def main(level: str, archive: str, num_runs: int) -> None:
    """Runs them all and prints one JSON object."""
    archive = str(Path(archive).resolve())
    # Set by the caller for what it measures on the processor.
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "-1":
        del os.environ["CUDA_VISIBLE_DEVICES"]
    with tempfile.TemporaryDirectory() as scratch:
        # The package looks for test images in a folder of this name where it runs, and fetches what is not there.
        folder = Path(scratch) / "cifar10"
        folder.mkdir()
        os.chdir(scratch)
        put_images(archive, folder)
        timed_run(level, folder, -1)
        print(json.dumps({"runs": [timed_run(level, folder, number) for number in range(num_runs)]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
