"""`tinysight lr-find`: the whole command in this process, on small real and made-up data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import numbered_images, stripes

from tinysight.errors import InvalidValueError
from tinysight.recipe import Recipe, make_recipe

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Images of a person's own, easy to learn."""
    train, test = stripes(300, side=9), stripes(20, side=9, seed=1)
    path = tmp_path / "data" / "stripes.npz"
    path.parent.mkdir()
    np.savez(path, x_train=train.images, y_train=train.labels, x_test=test.images, y_test=test.labels)
    return path


def find(command: Command, archive: Path, *words: object) -> tuple[int, str, str]:
    return command("lr-find", "mnist-softmax", "--data", archive, "--steps", 60, *words)


def test_the_rate_of_convolutions_goes_with_it(command: Command, archive: Path, offline: Path) -> None:
    """Muon moves them at a rate of their own, in proportion."""
    words = ("lr-find", "quick", "--data", archive, "--steps", 60, "--set", "widths=4", "--set", "batch_size=20")
    status, out, err = command(*words, "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result["suggested_kernel_rate"] == pytest.approx(result["suggested_rate"] * 0.12 / 0.2)
    status, out, err = command(*words)
    assert status == 0, err
    assert f"--set kernel_rate={result['suggested_kernel_rate']:.2g} " in out


@pytest.mark.parametrize(("classes", "flip"), [(("ant", "bee", "cat", "dog"), "alternating"), (None, "none")])
def test_images_are_mirrored_as_in_a_training(
    command: Command, offline: Path, monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...] | None, flip: str
) -> None:
    """flip=auto: classes that are called 0, 1, ... may be characters, which have no mirror image."""
    from tinysight.training import range_test

    given = []

    def stop(recipe: Recipe, *arguments: Any, **options: Any) -> Any:
        given.append(recipe.flip)
        raise InvalidValueError("enough")

    monkeypatch.setattr(range_test, "run_range_test", stop)
    train = stripes(100)
    np.savez(
        "own.npz", x_train=train.images, y_train=train.labels, x_test=train.images[:20], y_test=train.labels[:20],
        **({} if classes is None else {"class_names": np.array(classes)}),
    )  # fmt: skip
    status, _, err = command("lr-find", "quick", "--data", "own.npz", "--set", "flip=auto")
    assert (status, "enough" in err, given) == (2, True, [flip]), err


def test_a_curve_and_a_rate(command: Command, archive: Path, offline: Path) -> None:
    from PIL import Image

    status, out, err = find(command, archive, "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result == json.loads((offline / "lr-find-mnist-softmax.json").read_text(encoding="utf-8"))
    assert result["recipe"] == "mnist-softmax"
    assert (result["recipe_rate"], result["batch_size"], result["optimizer"]) == (0.001, 32, "adam")
    assert len(result["rates"]) == len(result["losses"]) == len(result["smoothed"]) == result["steps"] >= 40
    assert result["suggested_kernel_rate"] is None
    assert 1e-4 < result["suggested_rate"] < result["lowest_loss_rate"] <= 10
    assert result["fall"] > 0.3
    with Image.open(result["plot"]) as picture:
        assert (picture.format, picture.size) == ("PNG", (800, 500))
    # Nothing else is left behind: no run, no model.
    name = "lr-find-mnist-softmax"
    assert sorted(path.name for path in offline.iterdir()) == ["data", f"{name}.json", f"{name}.png"]

    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    for field in result:
        assert f"`{field}`" in text.partition("## tinysight lr-find")[2].partition("## tinysight evaluate")[0]

    # Again, over its own files, for people, and with the same seed to the same rate.
    status, out, err = find(command, archive)
    assert status == 0, err
    assert f"learning rate {result['suggested_rate']:.2g}" in out


def test_svg_and_files_in_the_way(command: Command, archive: Path, offline: Path) -> None:
    status, _, err = find(command, archive, "--out", "curve.svg", "--lowest", 1e-4, "--highest", 1)
    assert status == 0, err
    assert "<svg" in (offline / "curve.svg").read_text(encoding="utf-8")
    assert find(command, archive, "--out", "curve.svg")[0] == 0
    (offline / "mine.json").write_text('{"kept": true}', encoding="utf-8")
    status, out, err = find(command, archive, "--out", "mine.png")
    assert (status, out) == (2, "")
    assert "'mine.json' exists and is none of our curves" in err
    assert (offline / "mine.json").read_text(encoding="utf-8") == '{"kept": true}'
    assert not (offline / "mine.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--steps", 5), "5 steps; expected at least 20"),
        (("--lowest", 1, "--highest", 0.1), "rates from 1 to 0.1; expected two above 0"),
        (("--lowest", 0), "expected two above 0"),
        (("--highest", "inf"), "expected two above 0"),
        (("--out", "curve.pdf"), "'curve.pdf' does not end in .png or .svg"),
        (("--set", "data=mnist"), "data came twice"),
        (("--set", "epoch=1"), "did you mean 'epochs'?"),
        (("--device", "tpu"), "tpu"),
        (("--lowest", 1e6, "--highest", 1e9, "--set", "optimizer=sgd", "--set", "scaling=none"), "diverged after"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_mistakes(words: tuple[object, ...], message: str, command: Command, archive: Path, offline: Path) -> None:
    status, out, err = find(command, archive, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert [path.name for path in offline.iterdir()] == ["data"]


def test_rare_classes_weigh_as_in_a_training(keras_module: Any) -> None:
    """The first loss is that of the first batch, whose images weigh as their classes are rare."""
    from tinysight.training.balance import class_weights
    from tinysight.training.fit import make_feed
    from tinysight.training.range_test import run_range_test

    images = numbered_images(40)
    rows = np.flatnonzero((images.labels != 2) | (np.arange(40) < 6))
    layers = keras_module.layers
    losses = {}
    for kind in ("none", "balanced"):
        recipe = make_recipe({"batch_size": 7, "class_weights": kind})
        net = keras_module.Sequential(
            [
                keras_module.Input((8, 8, 1)),
                layers.Flatten(),
                layers.Dense(3, kernel_initializer="zeros", bias_initializer=lambda *_, **__: np.float32([2, 1, 0])),
                layers.Softmax(),
            ]
        )
        found = run_range_test(recipe, net, images, rows, lowest=1e-9, highest=1e-8, num_steps=1)
        losses[kind] = found.losses[0]
    labels = make_feed(recipe, images, rows).look_up(make_feed(recipe, images, rows).order()[:7])[1]
    each = -np.log(np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum())[labels]
    weights = np.array(class_weights(recipe, images.labels[rows], 3))
    assert losses["none"] == pytest.approx(each.mean(), rel=1e-5)
    assert losses["balanced"] == pytest.approx((each * weights[labels]).mean(), rel=1e-5)
    assert abs(losses["balanced"] - losses["none"]) > 0.01


def test_only_training_images_at_the_rates_that_are_said(keras_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinysight.training import fit as fitting
    from tinysight.training.feed import Feed
    from tinysight.training.range_test import run_range_test

    seen: list[int] = []
    look_up, compile_trainee = Feed.look_up, fitting.compile_trainee
    monkeypatch.setattr(Feed, "look_up", lambda self, order: (seen.extend(order.tolist()), look_up(self, order))[1])
    used: list[float] = []

    class Spy:
        """The trainee, with a note of the rate of each step."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self.trainee = compile_trainee(*arguments, **options)

        def train_on_batch(self, *batch: Any, **options: Any) -> Any:
            self.trainee.steps_per_execution = self.steps_per_execution
            used.append(float(keras_module.ops.convert_to_numpy(self.trainee.optimizer.learning_rate)))
            return self.trainee.train_on_batch(*batch, **options)

    monkeypatch.setattr("tinysight.training.range_test.compile_trainee", Spy)
    layers = keras_module.layers
    net = keras_module.Sequential(
        [keras_module.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )
    recipe = make_recipe({"batch_size": 7, "schedule": "triangular", "epochs": 2, "learning_rate": 9.0})
    rows = np.arange(0, 40, 2)
    found = run_range_test(recipe, net, numbered_images(40), rows, lowest=1e-5, highest=1e-2, num_steps=9)
    assert (found.end, len(found.losses)) == ("highest rate", 9)
    np.testing.assert_allclose(used, np.geomspace(1e-5, 1e-2, 9), rtol=1e-5)
    # Two whole batches of seven an epoch; the six images left over are not a step of their own.
    epochs = [seen[start : start + 14] for start in range(0, len(seen), 14)]
    assert [len(epoch) for epoch in epochs] == [14, 14, 14, 14, 7]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= set(rows.tolist())
    assert epochs[0] != epochs[1]


def test_a_place_that_is_no_folder(command: Command, archive: Path, offline: Path) -> None:
    (offline / "file").write_text("mine", encoding="utf-8")
    status, out, err = find(command, archive, "--out", "file/curve.png")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("tinysight: cannot use file")
    assert err.splitlines()[-1].endswith("; name another place")
    assert (offline / "file").read_text(encoding="utf-8") == "mine"
