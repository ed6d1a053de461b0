"""The program that runs airbench's trainings, on stand-ins that look for their images where the package does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "peers" / "airbench_training.py"
TORCH = """
import pickle
from types import SimpleNamespace
cuda = SimpleNamespace(synchronize=lambda: None)
tensor = lambda values: values
def save(values, path):
    with open(path, "wb") as file:
        pickle.dump(values, file)
"""
# As airbench 1: a loader reads train.pt or test.pt in its folder, fetches it where it is not, and training makes a
# loader of its own of test images in the folder "cifar10".
AIRBENCH = """
import os, pickle
class CifarLoader:
    def __init__(self, path, train, batch_size, aug=None, altflip=False):
        with open(os.path.join(path, "train.pt" if train else "test.pt"), "rb") as file:
            self.held = pickle.load(file)
        self.asked = (batch_size, aug, altflip)
def train94(images, run, verbose):
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert images.asked == (1024, {"flip": True, "translate": 2}, True)
    test = CifarLoader("cifar10", train=False, batch_size=2000)
    return len(images.held["labels"]), len(test.held["labels"]), run
def evaluate(net, test, tta_level):
    assert tta_level == 2 and test.held["images"].shape[1:] == (32, 32, 3) and test.held["labels"].ndim == 1
    num_train, num_test, run = net
    return num_train + num_test / 100 + run / 1000
"""


def test_it_lays_out_images_and_times_what_follows_the_warm_up(tmp_path: Path) -> None:
    packages, here = tmp_path / "packages", tmp_path / "here"
    packages.mkdir()
    here.mkdir()
    (packages / "torch.py").write_text(TORCH, encoding="utf-8")
    (packages / "airbench.py").write_text(AIRBENCH, encoding="utf-8")
    images = np.zeros((30, 32, 32, 3), np.uint8)
    labels = np.zeros((30, 1), np.uint8)
    np.savez(here / "cifar.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "94", "cifar.npz", "2"], cwd=here, capture_output=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(packages), "CUDA_VISIBLE_DEVICES": "-1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [run["accuracy"] for run in runs] == [30.2, 30.201]
    assert all(run["seconds"] >= 0 for run in runs)
    assert sorted(path.name for path in here.iterdir()) == ["cifar.npz"]
