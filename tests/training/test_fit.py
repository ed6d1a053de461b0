"""One training in this process: what it keeps when it ends well, badly or early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import numbered_images

from tinysight.errors import TrainingInterruptedError, TrainingStoppedError
from tinysight.recipe import Recipe, make_recipe
from tinysight.training.history import read_history

COUNT, BATCH = 40, 7
STEPS = 6


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def recipe_of(**fields: Any) -> Recipe:
    return make_recipe({"scaling": "none", "batch_size": BATCH, "epochs": 3, "seed": 5, **fields})


def net_of(keras: Any, *further: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((8, 8, 1)), *further, layers.Flatten(), layers.Dense(3, activation="softmax")])


def fit(recipe: Recipe, net: Any, folder: Path, *callbacks: Any, **arguments: Any) -> Any:
    from tinysight.training import fit as module

    images = numbered_images(COUNT)
    return module.fit(
        recipe, net, images, None, history_path=folder / "h.csv", quiet=True, callbacks=callbacks, **arguments
    )


def poison(keras: Any, number: int, value: float) -> Any:
    """A layer that gives `value` for the image of that number."""

    class Poison(keras.layers.Layer):  # type: ignore[misc,name-defined]
        def call(self, images: Any) -> Any:
            ops = keras.ops
            return images / 255 + ops.where(ops.round(images[:, :1, :1]) == number, value, 0.0)

    return Poison()


@pytest.mark.parametrize("steps_together", [1, 4])
def test_the_first_bad_step_is_named(
    steps_together: int, keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinysight.training import fit as module
    from tinysight.training.feed import epoch_order

    monkeypatch.setattr(module, "IMAGES_PER_EXECUTION", steps_together * BATCH)
    number = int(epoch_order(COUNT, 5, 0)[2 * BATCH + 1])
    with pytest.raises(TrainingStoppedError) as error:
        fit(recipe_of(), net_of(keras_module, poison(keras_module, number, np.nan)), tmp_path)
    assert str(error.value).startswith(f"the loss became NaN at epoch 1, step 3 of {STEPS}: ")
    assert "pixels are not scaled; try --set scaling=0..1" in str(error.value)
    assert error.value.exit_status == 2


def test_a_rate_that_is_too_high_is_the_likely_cause(keras_module: Any, tmp_path: Path) -> None:
    recipe = recipe_of(optimizer="sgd", learning_rate=1e38, scaling="0..1")
    with pytest.raises(TrainingStoppedError) as error:
        fit(recipe, net_of(keras_module), tmp_path)
    assert "the learning rate of 1e+38 is the likely cause" in str(error.value)
    assert "try --set learning_rate=1e+37" in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_that_the_last_step_ruined(keras_module: Any, tmp_path: Path) -> None:
    """The loss of the only step is finite; what it leaves is not."""
    recipe = recipe_of(optimizer="sgd", learning_rate=3e38, momentum=0, scaling="0..1", epochs=1, batch_size=COUNT)
    net = net_of(keras_module, keras_module.layers.Rescaling(1e4))
    with pytest.raises(TrainingStoppedError, match="weights became NaN or infinite in the last step"):
        fit(recipe, net, tmp_path)


def interruption(keras: Any, epoch: int, when: str) -> Any:
    class Interruption(keras.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            self.number = number
            self.before = self.model.net.get_weights()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if (self.number, when) == (epoch, "within"):
                raise KeyboardInterrupt

        def on_epoch_end(self, number: int, logs: Any = None) -> None:
            if (number, when) == (epoch, "end"):
                raise KeyboardInterrupt

    return Interruption()


@pytest.fixture(params=[False, True], ids=["in memory", "on disk"])
def arguments(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Of `fit`: whether it writes checkpoints, in which the state after the last whole epoch is then."""
    return {"checkpoints": tmp_path / "checkpoints"} if request.param else {}


def test_an_interruption_within_an_epoch_keeps_the_one_before(
    keras_module: Any, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    net, listener = net_of(keras_module), interruption(keras_module, 2, "within")
    result = fit(recipe_of(), net, tmp_path, listener, **arguments)
    assert (result.interrupted, result.epochs_completed) == (True, 2)
    assert [row["epoch"] for row in read_history(tmp_path / "h.csv")] == [1, 2]
    for kept, whole in zip(net.get_weights(), listener.before, strict=True):
        np.testing.assert_array_equal(kept, whole)


def test_an_interruption_at_an_epochs_end_keeps_weights_and_rows_of_the_same_epoch(
    keras_module: Any, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    net, listener = net_of(keras_module), interruption(keras_module, 1, "end")
    result = fit(recipe_of(), net, tmp_path, listener, **arguments)
    rows = read_history(tmp_path / "h.csv")
    assert result.interrupted
    # No checkpoint was written yet.
    expected = 1 if arguments else 2
    assert result.epochs_completed == len(result.history) == len(rows) == rows[-1]["epoch"] == expected
    if arguments:
        for kept, whole in zip(net.get_weights(), listener.before, strict=True):
            np.testing.assert_array_equal(kept, whole)


def test_an_interruption_before_the_first_whole_epoch_keeps_nothing(keras_module: Any, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterruptedError, match="before the first epoch was whole: nothing was kept"):
        fit(recipe_of(), net_of(keras_module), tmp_path, interruption(keras_module, 0, "within"))


def test_history_has_the_rate_of_each_epoch(keras_module: Any, tmp_path: Path) -> None:
    recipe = recipe_of(
        optimizer="adamax", schedule="exponential", schedule_decay=0.9, learning_rate=0.005, scaling="0..1"
    )
    result = fit(recipe, net_of(keras_module), tmp_path)
    rows = read_history(tmp_path / "h.csv")
    np.testing.assert_allclose([row["learning_rate"] for row in rows], [0.005 * 0.9**e for e in range(3)], rtol=1e-6)
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "learning_rate", "seconds"]
    assert not result.interrupted
    assert 0 < rows[0]["seconds"] < rows[1]["seconds"] < rows[2]["seconds"] <= result.seconds


def test_plain_lines_say_the_rate_of_each_epoch(
    keras_module: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tinysight.training import fit as module

    images = numbered_images(COUNT)
    recipe = recipe_of(schedule="exponential", learning_rate=0.005, scaling="0..1", epochs=2)
    module.fit(recipe, net_of(keras_module), images, images, history_path=tmp_path / "h.csv")
    captured = capsys.readouterr()
    first, second = captured.err.splitlines()
    assert captured.out == ""
    assert first.startswith("epoch 1/2  accuracy ")
    for word in ("loss ", "val_accuracy ", "val_loss ", "learning_rate 0.005 ", "images/s", "left"):
        assert word in first
    assert "learning_rate 0.0045 " in second
    assert "\r" not in captured.err
    assert "\x1b" not in captured.err


def test_a_callback_that_stops_training_stops_all_of_it(keras_module: Any, tmp_path: Path) -> None:
    class Stop(keras_module.callbacks.Callback):  # type: ignore[misc,name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = True

    # Two whole epochs and a part of a third, which is a call of Keras's fit of its own.
    recipe = recipe_of(steps=2 * STEPS + 2)
    assert fit(recipe, net_of(keras_module), tmp_path, Stop()).epochs_completed == 1


@pytest.mark.parametrize("optimizer", ["muon", "adamax"])
def test_a_step_is_traced_once(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """TensorFlow traces a step twice that makes variables."""
    from tinysight.training.trainee import Trainee

    traced, step = [], Trainee.train_step
    monkeypatch.setattr(Trainee, "train_step", lambda self, data: traced.append(1) or step(self, data))
    # Batches of one size.
    fit(recipe_of(optimizer=optimizer, batch_size=8), net_of(keras_module), tmp_path)
    assert len(traced) == 1


@pytest.mark.parametrize("rows", [None, np.array([1, 2, 3, 10, 11, 12])])
def test_a_first_layer_is_made_of_images_of_all_classes(
    monkeypatch: pytest.MonkeyPatch, rows: np.ndarray[Any, Any] | None
) -> None:
    """Data of folders lie class by class."""
    from tinysight.training import fit as module

    given: list[Any] = []
    monkeypatch.setattr(module, "ADAPT_IMAGES", 4)
    monkeypatch.setattr(module.fast, "adapt", lambda net, images, *_: given.append(images))
    images = numbered_images(COUNT)
    module.adapt_to(None, recipe_of(), images, rows)
    chosen = [0, 10, 20, 30] if rows is None else [1, 2, 10, 11]
    np.testing.assert_array_equal(given[0], images.images[chosen])


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_labels_of_any_integers(keras_module: Any, tmp_path: Path, dtype: Any) -> None:
    from tinysight.images import ImageSet
    from tinysight.training import fit as module

    same = numbered_images(COUNT)
    images = ImageSet(images=same.images, labels=same.labels.astype(dtype), class_names=same.class_names)
    assert images.labels.dtype == np.int32
    result = module.fit(
        recipe_of(epochs=1), net_of(keras_module), images, images, history_path=tmp_path / "h.csv", quiet=True
    )
    assert result.epochs_completed == 1


def test_memory_goes_back_after_the_first_step_and_after_each_checkpoint(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinysight.training import callbacks
    from tinysight.training import fit as module

    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    present: list[int] = []
    monkeypatch.setattr(module, "IMAGES_PER_EXECUTION", BATCH)
    monkeypatch.setattr(callbacks, "give_back_heap", lambda: present.append(len([*checkpoints.glob("*.npz")])))
    fit(recipe_of(epochs=2), net_of(keras_module), tmp_path, checkpoints=checkpoints)
    # A parts' first step; two epochs, of which both checkpoints are kept.
    assert present == [0, 1, 2]
