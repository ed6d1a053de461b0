"""Training and searching with two real processes on a Ray cluster of this machine, one of them killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import stripes
from whole_commands import QUICK_XLA, arguments, environment

from tinysight.runs import Run, SearchFolder
from tinysight.training.history import read_history

pytest.importorskip("ray", reason="Ray is not installed")
pytest.importorskip("jax", reason="JAX is not installed")

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers need two processors")

# The batch is odd: two processes cannot halve it, nor the last one of an epoch.
EPOCHS, BATCH, NUM_IMAGES = 5, 17, 200
RECIPE = f"""
model = "recorded_net.py:build"
batch_size = {BATCH}
epochs = {EPOCHS}
optimizer = "sgd"
learning_rate = 0.05
schedule = "cosine"
validation = "stratified"
validation_split = 0.1
seed = 3
"""
SERVER = """
import json, os, sys
from tinysight.cluster.engine import connected
with connected("local", 2) as found:
    import ray
    from ray._common.usage.usage_lib import usage_stats_enabled
    context = ray.get_runtime_context()
    told = {"address": context.gcs_address, "kind": found.kind, "reports": usage_stats_enabled()}
    told |= {"page": ray._private.worker.get_dashboard_url(), "token": os.environ["RAY_AUTH_TOKEN"]}
    print(json.dumps(told), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A Ray cluster on this machine, for whoever has its token."""
    monkeypatch, home = pytest.MonkeyPatch(), tmp_path_factory.mktemp("home")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **QUICK_XLA, "JAX_PLATFORMS": "cpu", "HOME": str(home)}, encoding="utf-8",
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert line, process.communicate()[1]
        told = json.loads(line)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", told["token"])
        yield told | {"home": home}
    finally:
        process.communicate()
        monkeypatch.undo()


@pytest.fixture(scope="module")
def cluster(server: dict[str, Any]) -> str:
    return str(server["address"])


def test_a_local_cluster_reports_nothing_has_no_page_and_leaves_no_secret(server: dict[str, Any]) -> None:
    assert server["kind"] == "cpu"
    assert len(server["token"]) == 64
    assert not (server["home"] / ".ray").exists()
    assert server["reports"] is False
    assert not server["page"]


@dataclass(frozen=True)
class Step:
    """What one process did: its place, epoch and step, the loss so far in the epoch, and the images that it read."""

    time: float
    rank: int
    epoch: int
    step: int
    loss: float
    read: tuple[int, ...]


@dataclass(frozen=True)
class Training:
    """A training that was recorded.

    Attributes:
        folder: where it took place.
        steps: of all its processes.
        errors: what it said on stderr.
    """

    folder: Path
    steps: list[Step]
    errors: str

    @property
    def run(self) -> Run:
        return Run(self.folder / "run")

    def that_count(self) -> dict[tuple[int, int, int], Step]:
        """(epoch, step, place) -> what was done there last: what is done again replaces what was lost."""
        return {(step.epoch, step.step, step.rank): step for step in sorted(self.steps, key=lambda step: step.time)}


def recorded(folder: Path, command: list[str], backend: str | None = None) -> Training:
    """What `command` trains on numbered images in a new folder, with a recipe and a model file in it."""
    images, test = stripes(NUM_IMAGES), stripes(60, seed=1)
    images.images[:, 0, 0, 0] = np.arange(NUM_IMAGES)
    np.savez(
        folder / "numbered.npz", x_train=images.images, y_train=images.labels, x_test=test.images, y_test=test.labels
    )
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    shutil.copy(Path(__file__).with_name("recorded_net.py"), folder)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8",
        env=environment(folder / "cache") | QUICK_XLA | ({"KERAS_BACKEND": backend} if backend else {}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = [path for path in folder.glob("*.txt") if path.stem.isdecimal()]
    lines = [line.split() for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    steps = [
        Step(float(time), int(rank), int(epoch), int(step), float(loss), tuple(map(int, read)))
        for time, rank, epoch, step, loss, *read in lines
    ]
    return Training(folder, steps, done.stderr)


# What `tinysight train` does in one process, without what comes after: evaluation, exports, plots.
ALONE = """
from pathlib import Path
from tinysight.data.source import load_of_recipe
from tinysight.data.validation import split_for_training
from tinysight.jobs.trial import TrialData, train_trial
from tinysight.recipe import load_recipe
from tinysight.training.backend import choose_backend

choose_backend("cpu")
recipe = load_recipe("recipe.toml", data="numbered.npz")
split = split_for_training(recipe, load_of_recipe(recipe))
data = TrialData(train=split.images, validation=split.validation, rows=split.train_indices)
train_trial(recipe, data, history_path=Path("run/history.csv"))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Training:
    return recorded(tmp_path_factory.mktemp("alone"), [sys.executable, "-c", ALONE], backend="jax")


@pytest.fixture(scope="module")
def together(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Two workers, of which the second one is killed in the third epoch."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "kill-at.txt").write_text("2 5", encoding="utf-8")
    words = ("--data", "numbered.npz", "--out", "run", "--no-report", "--json", "--storage", folder / "shared")
    return recorded(folder, arguments("train", "recipe.toml", *words, "--cluster", cluster, "--workers", 2))


class TestTwoWorkers:
    def test_the_loss_curve_of_one_process(self, alone: Training, together: Training) -> None:
        ours, theirs = together.that_count(), alone.that_count()
        curve = {(epoch, step): done.loss for (epoch, step, _), done in theirs.items()}
        assert len(curve) == EPOCHS * 11 >= 50
        for (epoch, step, _), done in ours.items():
            assert done.loss == pytest.approx(curve[epoch, step], rel=1e-4)
        one, two = (read_history(training.run.history) for training in (alone, together))
        assert len(one) == len(two) == EPOCHS
        for row, other in zip(one, two, strict=True):
            assert row.keys() == other.keys()
            for name in row.keys() - {"seconds"}:
                assert other[name] == pytest.approx(row[name], rel=1e-4)

    def test_a_killed_worker_is_replaced(self, together: Training) -> None:
        assert (together.folder / "killed").exists()
        assert ": new workers go on after epoch 2, step 0\n" in together.errors
        counted = together.that_count()
        again = [step for step in together.steps if step is not counted[step.epoch, step.step, step.rank]]
        assert {(step.epoch, step.step) for step in again} >= {(2, step) for step in range(6)}

    def test_every_image_is_seen_once_an_epoch(self, alone: Training, together: Training) -> None:
        ours, theirs = together.that_count(), alone.that_count()
        assert len(ours) == 2 * len(theirs)
        for (epoch, step, _), done in theirs.items():
            parts = [ours[epoch, step, rank].read for rank in (0, 1)]
            assert parts[0] + parts[1] == done.read
            assert max(map(len, parts)) == -(-len(done.read) // 2)
        for epoch in range(EPOCHS):
            seen = sorted(image for key, done in ours.items() if key[0] == epoch for image in done.read)
            assert len(seen) == len(set(seen)) == 180

    def test_the_run_is_a_normal_one(self, together: Training) -> None:
        run = together.run
        assert run.is_finished
        assert run.onnx_model.is_file()
        # The saved model, through ONNX, has the accuracy that the workers counted.
        metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
        accuracy = metrics["validation"]["figures"]["accuracy"]["value"]
        assert accuracy == pytest.approx(read_history(run.history)[-1]["val_accuracy"], abs=1e-6)
        described = json.loads(run.environment.read_text(encoding="utf-8"))
        assert described["backend"] == "jax"
        assert (described["cluster"]["num_workers"], described["cluster"]["kind"]) == (2, "cpu")

    def test_checkpoints_lie_where_it_was_asked(self, together: Training) -> None:
        (place,) = (together.folder / "shared").iterdir()
        names = sorted(path.name for path in place.glob("*.npz"))
        assert names[-1] == "checkpoint-000005-00000000.npz"
        assert not list(place.glob("seen-*"))
        assert not list(together.run.checkpoints.glob("*.npz"))


def run(cwd: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(*words), cwd=cwd, env=environment(cwd / "cache") | variables, capture_output=True, encoding="utf-8"
    )


MORTAL = """
import contextlib, os, signal
from pathlib import Path
import keras

def build(input_shape, num_classes):
    with contextlib.suppress(FileExistsError):
        Path(__file__).with_name("killed").open("x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)])
"""


def test_trials_on_two_workers_of_which_one_is_killed(cluster: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    images = stripes(120)
    np.savez(tmp_path / "stripes.npz", images=images.images, labels=images.labels)
    (tmp_path / "space.toml").write_text("[learning_rate]\nlow = 1e-4\nhigh = 0.1\nlog = true\n", encoding="utf-8")
    (tmp_path / "mortal.py").write_text(MORTAL, encoding="utf-8")
    done = run(
        tmp_path, "tune", "mnist-softmax", "--set", "model=mortal.py:build", "--set", "epochs=2", "--data",
        "stripes.npz", "--space", "space.toml", "--out", "search", "--trials", 4, "--cluster", cluster, "--workers", 2,
        "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^trial [01]: a worker died; it is begun again$", done.stderr, re.MULTILINE)
    result = json.loads(done.stdout)
    assert (result["num_trials"], result["num_failed"]) == (4, 0)
    folder = SearchFolder(tmp_path / "search")
    assert folder.best.is_file()
    histories = [read_history(path) for path in folder.history(0).parent.iterdir()]
    assert len(histories) == 4
    assert max(rows[-1]["val_accuracy"] for rows in histories) == pytest.approx(result["best_validation_accuracy"])


class TestBadInput:
    def refused(self, cwd: Path, *words: object, **variables: str) -> str:
        done = run(cwd, *words, "--out", "run", **variables)
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert not (cwd / "run").exists()
        return line

    def test_more_workers_than_processors(self, cluster: str, tmp_path: Path) -> None:
        line = self.refused(tmp_path, "train", "--data", "mnist-5k", "--cluster", cluster, "--workers", 1000)
        assert re.fullmatch(
            rf"tinysight: --workers 1000: the cluster at {cluster} has (\d+) processors, of which every worker needs"
            r" one; expected --workers \1 or less",
            line,
        )

    def test_nothing_at_the_address(self, tmp_path: Path) -> None:
        line = self.refused(tmp_path, "train", "--data", "mnist-5k", "--cluster", "127.0.0.1:9", "--workers", 2)
        assert line.startswith("tinysight: --cluster 127.0.0.1:9: nothing answers there (")

    def test_another_backend(self, tmp_path: Path) -> None:
        words = ("train", "--data", "mnist-5k", "--cluster", "local", "--workers", 2)
        line = self.refused(tmp_path, *words, KERAS_BACKEND="tensorflow")
        assert line == "tinysight: --cluster trains on JAX, KERAS_BACKEND is tensorflow: unset it, or set it to jax"
