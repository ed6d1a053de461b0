"""Training and searching with two real processes on a Ray cluster of this machine, one of them killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from small_data import stripes
from whole_commands import arguments, environment

from tinysight.runs import Run, SearchFolder
from tinysight.training.history import read_history

pytest.importorskip("ray", reason="Ray is not installed")
pytest.importorskip("jax", reason="JAX is not installed")

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
import sys, ray
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster with two processors, for whoever has its token."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-this-test-and-nobody-else-0123456789")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "JAX_PLATFORMS": "cpu"}, encoding="utf-8",
    )  # fmt: skip
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address
    try:
        yield address
    finally:
        process.communicate()
        monkeypatch.undo()


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
    run: Run
    steps: list[Step]
    errors: str

    def that_count(self) -> dict[tuple[int, int, int], Step]:
        """(epoch, step, place) -> what was done there last: what is done again replaces what was lost."""
        return {(step.epoch, step.step, step.rank): step for step in sorted(self.steps, key=lambda step: step.time)}


def train(folder: Path, *words: object, backend: str | None = None, kill_at: str | None = None) -> Training:
    folder.mkdir()
    images, test = stripes(NUM_IMAGES), stripes(60, seed=1)
    images.images[:, 0, 0, 0] = np.arange(NUM_IMAGES)
    np.savez(
        folder / "numbered.npz", x_train=images.images, y_train=images.labels, x_test=test.images, y_test=test.labels
    )
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    shutil.copy(Path(__file__).with_name("recorded_net.py"), folder)
    if kill_at is not None:
        (folder / "kill-at.txt").write_text(kill_at, encoding="utf-8")
    done = subprocess.run(
        arguments("train", "recipe.toml", "--data", "numbered.npz", "--out", "run", "--no-report", "--json", *words),
        cwd=folder, env=environment(folder / "cache") | ({"KERAS_BACKEND": backend} if backend else {}),
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = [path for path in folder.glob("*.txt") if path.stem.isdecimal()]
    lines = [line.split() for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    steps = [
        Step(float(time), int(rank), int(epoch), int(step), float(loss), tuple(map(int, read)))
        for time, rank, epoch, step, loss, *read in lines
    ]
    return Training(Run(folder / "run"), steps, done.stderr)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Training:
    return train(tmp_path_factory.mktemp("alone") / "it", backend="jax")


@pytest.fixture(scope="module")
def together(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Two workers, of which the second one is killed in the third epoch."""
    folder = tmp_path_factory.mktemp("together")
    words = ("--cluster", cluster, "--workers", 2, "--storage", folder / "shared")
    return train(folder / "it", *words, kill_at="2 5")


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
        assert (together.run.folder.parent / "killed").exists()
        assert "new workers go on after epoch 2, step 0" in together.errors
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

    def test_the_run_is_a_normal_one(self, alone: Training, together: Training) -> None:
        run = together.run
        assert run.is_finished
        assert run.onnx_model.is_file()
        one, two = (json.loads(training.run.metrics.read_text()) for training in (alone, together))
        assert two.keys() == one.keys()
        described = json.loads(run.environment.read_text())
        assert described["backend"] == "jax"
        assert (described["cluster"]["num_workers"], described["cluster"]["kind"]) == (2, "cpu")
        with np.load(run.predictions) as ours, np.load(alone.run.predictions) as theirs:
            np.testing.assert_allclose(ours["test_probabilities"], theirs["test_probabilities"], atol=1e-4)

    def test_checkpoints_lie_where_it_was_asked(self, together: Training) -> None:
        (place,) = (together.run.folder.parents[1] / "shared").iterdir()
        names = sorted(path.name for path in place.glob("*.npz"))
        assert names[-1] == "checkpoint-000005-00000000.npz"
        assert not list(place.glob("seen-*"))
        assert not list(together.run.checkpoints.glob("*.npz"))


def run(cwd: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments(*words), cwd=cwd, env=environment(cwd / "cache") | variables, capture_output=True, encoding="utf-8"
    )


def test_trials_on_both_workers(cluster: str, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    images = stripes(120)
    np.savez(tmp_path / "stripes.npz", images=images.images, labels=images.labels)
    (tmp_path / "space.toml").write_text("[learning_rate]\nlow = 1e-4\nhigh = 0.1\nlog = true\n", encoding="utf-8")
    done = run(
        tmp_path, "tune", "mnist-softmax", "--set", "epochs=2", "--data", "stripes.npz", "--space", "space.toml",
        "--out", "search", "--trials", 4, "--cluster", cluster, "--workers", 2, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["num_trials"], result["num_failed"]) == (4, 0)
    folder = SearchFolder(tmp_path / "search")
    assert folder.best.is_file()
    histories = [read_history(folder.history(number)) for number in range(4)]
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
        line = self.refused(tmp_path, "train", "--data", "mnist-5k", "--cluster", cluster, "--workers", 3)
        assert line == (
            f"tinysight: --workers 3: the cluster at {cluster} has 2 processors, of which every worker needs one;"
            " expected --workers 2 or less"
        )

    def test_nothing_at_the_address(self, tmp_path: Path) -> None:
        line = self.refused(tmp_path, "train", "--data", "mnist-5k", "--cluster", "127.0.0.1:9", "--workers", 2)
        assert line.startswith("tinysight: --cluster 127.0.0.1:9: nothing answers there (")

    def test_another_backend(self, tmp_path: Path) -> None:
        words = ("train", "--data", "mnist-5k", "--cluster", "local", "--workers", 2)
        line = self.refused(tmp_path, *words, KERAS_BACKEND="tensorflow")
        assert line == "tinysight: --cluster trains on JAX, KERAS_BACKEND is tensorflow: unset it, or set it to jax"


def test_ray_reports_nothing(cluster: str) -> None:
    script = (
        "import sys\nfrom tinysight.cluster.engine import connected\n"
        "with connected(sys.argv[1], 1) as found:\n"
        "    from ray._private.usage.usage_lib import usage_stats_enabled\n"
        "    print(found.kind, usage_stats_enabled())\n"
    )
    kept = {name: value for name, value in os.environ.items() if name != "RAY_USAGE_STATS_ENABLED"}
    done = subprocess.run([sys.executable, "-c", script, cluster], capture_output=True, encoding="utf-8", env=kept)
    assert done.stdout.split() == ["cpu", "False"], done.stderr
