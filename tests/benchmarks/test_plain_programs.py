"""The plain Keras programs are the tutorials: same nets, losses, optimizers, batches and epochs as the recipes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import MODULES, SCRIPTS, run_file
from whole_commands import Trained

from tinysight.benchmarks.bench import lay_out, plain_scripts
from tinysight.recipe import load_recipe

KEPT = ("filters", "kernel_size", "strides", "padding", "units", "use_bias", "rate", "pool_size", "negative_slope")
SHAPES = {"cifar10": (32, 32, 3), "mnist": (28, 28)}


def archive_of(folder: Path, data: str) -> Path:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, count in (("train", 70), ("test", 20)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (count, *SHAPES[data])).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        arrays[f"y_{split}"] = labels[:, None] if data == "cifar10" else labels
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def layers_of(model: Any) -> list[tuple[Any, ...]]:
    """What decides about the numbers, of every layer; activations stand as layers of their own."""
    found: list[tuple[Any, ...]] = []
    for layer in model.layers:
        config = layer.get_config()
        kind = type(layer).__name__
        if kind != "Activation":
            found.append((kind, *((key, config[key]) for key in KEPT if key in config)))
        if config.get("activation", "linear") != "linear":
            found.append(("activation", config["activation"]))
    return found


@pytest.mark.parametrize(
    ("script", "name"),
    [("tensorflow_cnn.py", "tensorflow"), ("leaky_adamax.py", "leaky-adamax"), ("mnist_cnn.py", "mnist-cnn")],
)
def test_a_tutorial_is_the_recipe(script: str, name: str, keras_module: Any, tmp_path: Path) -> None:
    from tinysight.models.registry import build_net
    from tinysight.training.optimizers import make_optimizer
    from tinysight.training.schedules import learning_rates

    recipe = load_recipe(name)
    printed, names = run_file(SCRIPTS / script, archive_of(tmp_path, recipe.data), 3, 2)
    result = json.loads(printed.rstrip().rpartition("\n")[2])
    model: Any = names["model"]
    net = build_net(recipe, model.input_shape[1:], 10)
    ours = layers_of(net)
    if layers_of(model)[-1] != ("activation", "softmax"):
        # TensorFlow's tutorial leaves softmax to its loss.
        assert model.loss.get_config()["from_logits"] is True
        ours.pop()
    assert layers_of(model) == ours
    assert result["parameters"] == recipe.parameters == net.count_params()
    assert 0 <= result["test_accuracy"] <= 1
    assert result["test_loss"] > 0

    optimizer = make_optimizer(recipe, net, None)
    # Names are counted up, and the schedule has moved the rate of a finished training.
    own = {"name": "", "learning_rate": 0}
    assert model.optimizer.get_config() | own == optimizer.get_config() | own
    # 70 images: two epochs of so many steps; the rate of the last step is the recipe's.
    steps = -(-70 // recipe.batch_size)
    assert int(model.optimizer.iterations.numpy()) == 2 * steps
    rates = learning_rates(recipe.replace(epochs=2), steps)
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(float(rates[-1]))
    # Without a third word it trains for as long as the recipe.
    text = (SCRIPTS / script).read_text(encoding="utf-8")
    assert re.search(r"else (\d+)\nkeras\.utils\.set_random_seed", text)[1] == str(recipe.epochs)  # type: ignore[index]
    scaled = names["x_train" if "x_train" in names else "train_images"]
    low, high = {"0..1": (0.0, 1.0), "-0.5..0.5": (-0.5, 0.5)}[recipe.scaling]
    assert (scaled.min(), scaled.max()) == (low, high)  # type: ignore[attr-defined]
    assert len(result.get("epoch_seconds", [0, 0])) == 2
    assert (recipe.validation == "test") == ("validation_data" in text)


def test_both_sides_predict_the_same(trained: Trained, keras_module: Any, tmp_path: Path) -> None:
    """The programs that time prediction, on a real run."""
    from PIL import Image

    archive = tmp_path / "mnist-5k.npz"
    lay_out("mnist-5k", None, archive, 640, 200)
    plain = json.loads(run_file(SCRIPTS / "predict_many.py", trained.run.keras_model, archive, 2)[0].splitlines()[-1])
    ours = json.loads(run_file(MODULES / "predict_rate.py", trained.run.folder, archive, 2)[0])
    assert plain["num_images"] == ours["num_images"] == 200
    assert plain["classes"] == ours["classes"]
    assert len(plain["seconds"]) == len(ours["seconds"]) == 2
    image = tmp_path / "image.png"
    with np.load(archive) as arrays:
        Image.fromarray(arrays["x_test"][0]).save(image)
        assert arrays["x_train"].shape == (640, 28, 28)
    one = json.loads(run_file(SCRIPTS / "predict_one.py", trained.run.keras_model, image)[0].splitlines()[-1])
    assert one["class"] == plain["classes"][0]
    assert 0.1 <= one["score"] <= 1


def test_the_rate_of_matrix_products(keras_module: Any) -> None:
    rates = json.loads(run_file(MODULES / "matmul_rate.py", 64, 96)[0])
    assert list(rates) == ["64", "96"]
    assert all(1e6 < rate < 1e16 for rate in rates.values())


def test_the_programs_are_found() -> None:
    assert plain_scripts() == SCRIPTS
