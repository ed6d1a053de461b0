"""A training that stops at any moment goes on to the same bits; every moment that is different in kind is tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import stripes

from tinysight.errors import TrainingInterruptedError
from tinysight.recipe import Recipe, make_recipe
from tinysight.training.history import read_history

EPOCHS, BATCH = 3, 8
TRAIN, VALIDATION = stripes(90), stripes(40, seed=4)
RECIPES: dict[str, dict[str, Any]] = {
    "dropout": {
        "layers": ["conv 4", "pool", "dropout 0.3", "dense 8"], "flip": "random", "translate": 1, "keep": "best",
        "schedule": "cosine",
    },
    "fast": {
        "model": "fast", "widths": [8], "stem_filters": 4, "optimizer": "sgd", "schedule": "triangular",
        "loss": "categorical_crossentropy", "flip": "alternating", "steps": 29,
    },
}  # fmt: skip


class Stop(BaseException):
    """What no handler catches, as if the process were gone."""


def recipe_of(name: str) -> Recipe:
    return make_recipe({"batch_size": BATCH, "epochs": EPOCHS, "seed": 3, **RECIPES[name]})


def fit(name: str, folder: Path, stop: int = 10_000, error: type[BaseException] = Stop, resume: Any = None) -> Any:
    """(the result or what stopped it, the net): a new net each time, as in a new process."""
    import keras

    from tinysight.models.registry import build_net
    from tinysight.training import fit as module

    class Stopper(keras.callbacks.Callback):  # type: ignore[misc]
        begun = 0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.begun += 1
            if self.begun > stop:
                raise error

    recipe = recipe_of(name)
    keras.utils.set_random_seed(3)
    net = build_net(recipe, TRAIN.image_shape, TRAIN.num_classes)
    try:
        result = module.fit(
            recipe, net, TRAIN, VALIDATION, history_path=folder / "h.csv", checkpoints=folder / "checkpoints",
            checkpoint_minutes=0, resume=resume, quiet=True, callbacks=[Stopper()],
        )  # fmt: skip
    except error:
        result = None
    return result, net


def values(net: Any) -> list[Any]:
    """Weights and random states."""
    return [variable.numpy() for variable in net.variables]


def newest(folder: Path) -> Any:
    from tinysight.training.checkpoints import read_newest

    found, damaged = read_newest(folder / "checkpoints")
    assert damaged == []
    return found


def assert_same(one: Path, other: Path) -> None:
    ours, theirs = newest(one), newest(other)
    assert (ours.epoch, ours.step, ours.learning_rate) == (theirs.epoch, theirs.step, theirs.learning_rate)
    assert [a.tobytes() for a in ours.variables] == [b.tobytes() for b in theirs.variables]
    assert [row | {"seconds": 0} for row in ours.history] == [row | {"seconds": 0} for row in theirs.history]
    assert (ours.best is None) == (theirs.best is None)
    if ours.best is not None:
        assert (ours.best.epoch, ours.best.score) == (theirs.best.epoch, theirs.best.score)
        assert [a.tobytes() for a in ours.best.weights] == [b.tobytes() for b in theirs.best.weights]


@pytest.fixture(scope="module", params=sorted(RECIPES))
def whole(request: pytest.FixtureRequest, keras_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(name, folder, weights) of the training that is never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    result, net = fit(request.param, folder)
    assert not result.interrupted
    return request.param, folder, values(net)


def test_the_same_bits(whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinysight.training import fit as module

    monkeypatch.setattr(module, "IMAGES_PER_EXECUTION", BATCH)
    name, folder, weights = whole
    found = None
    # Steps since the start, or since the resumption before: within an epoch, then at the end of one.
    for moment in (5, 19):
        assert fit(name, tmp_path, stop=moment, resume=found)[0] is None
        found = newest(tmp_path)
    result, net = fit(name, tmp_path, resume=found)
    assert_same(folder, tmp_path)
    assert [a.tobytes() for a in values(net)] == [b.tobytes() for b in weights]
    assert result.epochs_completed == len(read_history(tmp_path / "h.csv"))


def test_no_checkpoint_beyond_the_last_step(keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """29 steps are two epochs of twelve and five more; Keras calls the last two executions steps 4 and 8."""
    from tinysight.training import callbacks
    from tinysight.training import fit as module

    monkeypatch.setattr(module, "IMAGES_PER_EXECUTION", 4 * BATCH)
    written = []
    write = callbacks.write_checkpoint
    monkeypatch.setattr(
        callbacks, "write_checkpoint",
        lambda folder, checkpoint: written.append((checkpoint.epoch, checkpoint.step)) or write(folder, checkpoint),
    )  # fmt: skip
    assert not fit("fast", tmp_path)[0].interrupted
    assert written == [(0, 4), (0, 8), (1, 0), (1, 4), (1, 8), (2, 0), (2, 4), (3, 0)]


def test_nothing_was_left_to_do(whole: Any, tmp_path: Path) -> None:
    """Killed after the last epoch, while it was evaluated and saved."""
    name, folder, weights = whole
    result, net = fit(name, tmp_path, resume=newest(folder))
    assert [a.tobytes() for a in values(net)] == [b.tobytes() for b in weights]
    assert len(result.history) == result.epochs_completed == newest(folder).epoch


def test_the_best_epoch_is_kept(whole: Any) -> None:
    name, folder, weights = whole
    found = newest(folder)
    if name == "fast":
        assert found.best is None
        return
    scores = [(row["val_accuracy"], -row["val_loss"]) for row in found.history]
    assert found.best.score == max(scores)
    assert found.best.epoch == 1 + scores.index(max(scores))
    for kept, weight in zip(found.best.weights, weights, strict=True):
        np.testing.assert_array_equal(kept, weight)


class TestCtrlC:
    def test_of_a_resumed_training_keeps_the_epoch_before(
        self, keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tinysight.training import fit as module

        monkeypatch.setattr(module, "IMAGES_PER_EXECUTION", BATCH)
        fit("dropout", tmp_path, stop=19)
        found = newest(tmp_path)
        assert (found.epoch, found.step) == (1, 7)
        result, net = fit("dropout", tmp_path, stop=2, error=KeyboardInterrupt, resume=found)
        assert (result.interrupted, result.epochs_completed, result.epoch_kept) == (True, 1, 1)
        assert [row["epoch"] for row in read_history(tmp_path / "h.csv")] == [1]
        _, one_epoch = fit("dropout", tmp_path / "one", stop=12)
        best = newest(tmp_path / "one").best
        assert one_epoch is not net
        for kept, weight in zip(best.weights, net.variables, strict=True):
            np.testing.assert_array_equal(kept, weight.numpy())

    def test_before_any_whole_epoch(self, keras_module: Any, tmp_path: Path) -> None:
        with pytest.raises(TrainingInterruptedError, match="nothing was kept"):
            fit("fast", tmp_path, stop=0, error=KeyboardInterrupt)


class TestFiles:
    def test_half_written_ones_never_count(self, whole: Any, tmp_path: Path) -> None:
        """What a kill leaves between any two of the writer's calls: none of it is taken, the one before is."""
        from tinysight.training.checkpoints import read_newest, write_checkpoint

        first = newest(whole[1])
        path = write_checkpoint(tmp_path, replace(first, epoch=1))
        (tmp_path / ".partial-abc.npz").write_bytes(b"half")
        (tmp_path / "checkpoint-000002-00000000.sha256").write_text("00", encoding="utf-8")
        found, damaged = read_newest(tmp_path)
        assert found is not None
        assert (found.epoch, damaged, path.is_file()) == (1, [], True)

    @pytest.mark.parametrize("how", ["cut", "flipped", "empty", "no digest"])
    def test_a_damaged_one_is_told(self, how: str, whole: Any, tmp_path: Path) -> None:
        from tinysight.training.checkpoints import read_newest, write_checkpoint

        first = newest(whole[1])
        write_checkpoint(tmp_path, replace(first, epoch=1))
        path = write_checkpoint(tmp_path, replace(first, epoch=2))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        if how == "no digest":
            path.with_suffix(".sha256").unlink()
        else:
            path.write_bytes({"cut": bytes(content[:-100]), "flipped": bytes(content), "empty": b""}[how])
        found, damaged = read_newest(tmp_path)
        assert found is not None
        assert (found.epoch, damaged) == (1, [path])

    def test_two_are_kept_and_the_last_between_two_epochs(self, whole: Any, tmp_path: Path) -> None:
        from tinysight.training.checkpoints import write_checkpoint

        first = newest(whole[1])
        for epoch, step in ((1, 0), (2, 0), (2, 3), (2, 6), (2, 9)):
            write_checkpoint(tmp_path, replace(first, epoch=epoch, step=step))
        stems = {f"checkpoint-000002-0000000{step}" for step in (0, 6, 9)}
        assert {path.name for path in tmp_path.iterdir()} == {f"{s}{end}" for s in stems for end in (".npz", ".sha256")}
