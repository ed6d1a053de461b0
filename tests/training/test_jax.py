"""The same training on JAX: a process of its own, as a backend is chosen once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import numbered_images, small_data
from weighted_loss import weighted_losses
from whole_commands import QUICK_XLA

from tinysight.runs import Run

pytestmark = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("jax")
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("backend_jax.py"), folder],
        env={**os.environ, **QUICK_XLA, "KERAS_BACKEND": "jax", "PYTHONPATH": str(tests)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_the_same_batches_as_on_tensorflow(on_jax: tuple[Path, dict[str, Any]], keras_module: Any) -> None:
    from tinysight.training.feed import Feed

    feed = Feed(numbered_images(30), batch_size=7, seed=3, one_hot=True, alternate=True)
    with np.load(on_jax[0] / "batches.npz") as theirs:
        for epoch in range(2):
            feed.epoch = epoch
            ours = [(pixels.numpy(), labels.numpy()) for pixels, labels in feed.for_backend()]
            np.testing.assert_array_equal(np.concatenate([p for p, _ in ours]), theirs[f"pixels{epoch}"])
            np.testing.assert_array_equal(np.concatenate([labels for _, labels in ours]), theirs[f"labels{epoch}"])


def test_the_clock_moves_the_rate(on_jax: tuple[Path, dict[str, Any]]) -> None:
    """What is written down is what happened: the recipe of a training by the clock comes to the same weights."""
    found = on_jax[1]["by_clock"]
    assert found["steps"] > 20
    assert found["highest"] > 0.05
    first, again = found["weights"]
    for mine, other in zip(first, again, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_a_whole_run(on_jax: tuple[Path, dict[str, Any]], keras_module: Any) -> None:
    """Trained on JAX, exported by TensorFlow, read by ONNX Runtime and by Keras on TensorFlow."""
    from tinysight.models.saving import load_model
    from tinysight.serving.predictor import Predictor

    folder, found = on_jax
    run = Run(folder / "run")
    assert run.is_finished
    assert json.loads(run.environment.read_text(encoding="utf-8"))["backend"] == "jax"
    assert found["summary"]["epochs"] == 2
    images = small_data().test.images
    by_onnx = Predictor(run.onnx_model).predict(images)
    np.testing.assert_allclose(load_model(run.folder).predict(images, verbose=0), by_onnx, atol=1e-4)


def test_a_bad_loss(on_jax: tuple[Path, dict[str, Any]]) -> None:
    text = on_jax[1]["bad"]
    assert text.startswith("TrainingStoppedError: the loss became ")
    assert " at epoch 1, step " in text
    assert "the learning rate of 1e+38 is the likely cause" in text


def test_interruptions(on_jax: tuple[Path, dict[str, Any]]) -> None:
    assert on_jax[1]["kept"] == "interrupted=True epochs=1"
    assert on_jax[1]["nothing"].startswith("TrainingInterruptedError: interrupted before the first epoch was whole")


def test_a_stopped_training_ends_with_the_same_bits(on_jax: tuple[Path, dict[str, Any]]) -> None:
    assert on_jax[1]["resumed"] == {"whole": [], "stopped twice": []}


def test_class_weights_as_on_tensorflow(on_jax: tuple[Path, dict[str, Any]], keras_module: Any) -> None:
    ours = weighted_losses()
    for coding, losses in on_jax[1]["weighted"].items():
        assert losses == pytest.approx(ours[coding], rel=1e-5)


def test_whole_epochs_as_one_program(on_jax: tuple[Path, dict[str, Any]]) -> None:
    """The same images in the same steps, the smaller last one of an epoch and the begun last epoch included."""
    steps, epochs, stopped = (on_jax[1]["whole_epochs"][name] for name in ("steps", "epochs", "stopped"))
    assert [row["epoch"] for row in steps["history"]] == [1, 2, 3]
    for ours, theirs in zip(epochs["history"], steps["history"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    for ours, theirs in zip(epochs["weights"], steps["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert stopped == epochs


def test_whole_epochs_of_a_net_for_gpus(on_jax: tuple[Path, dict[str, Any]]) -> None:
    """Whitening, residual groups, Muon, cut-out squares: not only what a dense layer needs."""
    steps, epochs = (on_jax[1]["whole_fast"][name] for name in ("steps", "epochs"))
    assert [row["epoch"] for row in steps["history"]] == [1, 2]
    for ours, theirs in zip(epochs["weights"], steps["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("which", ["whole_epochs", "whole_fast"])
def test_warm_trainings_come_to_what_one_by_itself_does(on_jax: tuple[Path, dict[str, Any]], which: str) -> None:
    found = on_jax[1][which]
    warm, alone = found["warm"], found["epochs"]
    (run,) = warm["runs"]
    assert run["seconds"] > 0
    # By all the views that the recipe averages.
    assert run["accuracy"] == pytest.approx(found["accuracy"])
    assert warm["parameters"] == sum(map(len, alone["weights"]))
    for ours, theirs in zip(warm["weights"], alone["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
