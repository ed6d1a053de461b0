"""Run by test_jax.py in a process whose backend is JAX: prints one JSON object, writes batches to its argument."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tinysight.training.backend import choose_backend, own_process

# As the commands import it: leanly.
own_process()
assert choose_backend("cpu") == "jax"

import keras  # noqa: E402
from small_data import numbered_images, small_data  # noqa: E402
from weighted_loss import weighted_losses  # noqa: E402

from tinysight.benchmarks.warm_training import compiled, timed_runs  # noqa: E402
from tinysight.errors import TinysightError  # noqa: E402
from tinysight.models.registry import as_saved, build_net, build_training_net  # noqa: E402
from tinysight.models.serving import serving_model_of  # noqa: E402
from tinysight.recipe import Recipe, make_recipe, to_toml  # noqa: E402
from tinysight.training.budget import TimeBudget  # noqa: E402
from tinysight.training.checkpoints import read_newest  # noqa: E402
from tinysight.training.feed import Feed  # noqa: E402
from tinysight.training.fit import fit  # noqa: E402
from tinysight.verbs.train import Settings, train  # noqa: E402

LAYERS = ["conv 4", "pool", "dense 6"]
# Where convolutions are not the point: XLA takes seconds to compile one on a processor.
DENSE = ["dense 6"]


def batches(folder: Path) -> None:
    feed = Feed(numbered_images(30), batch_size=7, seed=3, one_hot=True, alternate=True)
    sequence = feed.for_backend()
    found = {}
    for epoch in range(2):
        feed.epoch = epoch
        pixels, labels = zip(*(sequence[index] for index in range(sequence.num_batches)), strict=True)
        found |= {f"pixels{epoch}": np.concatenate(pixels), f"labels{epoch}": np.concatenate(labels)}
        assert [len(part) for part in pixels] == [7, 7, 7, 7, 2]
    np.savez(folder / "batches.npz", **found)


def message(folder: Path, callbacks: Any = (), **fields: Any) -> str:
    recipe = make_recipe({"layers": DENSE, "batch_size": 8, "epochs": 3, **fields})
    data = small_data()
    keras.utils.set_random_seed(0)
    net = build_net(recipe, data.image_shape, 4)
    try:
        result = fit(
            recipe, net, data.train, None, history_path=folder / "h.csv", quiet=True, callbacks=list(callbacks)
        )
    except TinysightError as error:
        return f"{type(error).__name__}: {error}"
    return f"interrupted={result.interrupted} epochs={result.epochs_completed}"


class Stop(BaseException):
    """What no handler catches, as if the process were gone."""


class StopAt(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stop


def resumed(folder: Path) -> dict[str, list[str]]:
    """What is not the same in a training that was stopped within an epoch and at its end, and one that was not."""
    recipe = make_recipe(
        {
            "layers": ["dropout 0.3", "dense 6"], "batch_size": 8, "epochs": 3, "flip": "random",
            "sampling": "balanced", "schedule": "cosine", "keep": "best",
        }
    )  # fmt: skip
    states = {}
    for name, stops in {"whole": (), "stopped twice": (3, 2)}.items():
        found = None
        for stop in (*stops, 1000):
            keras.utils.set_random_seed(0)
            data = small_data()
            with contextlib.suppress(Stop):
                fit(
                    recipe, build_net(recipe, data.image_shape, 4), data.train, data.test,
                    history_path=folder / name / "h.csv", checkpoints=folder / name, checkpoint_minutes=0,
                    resume=found, quiet=True, callbacks=[StopAt(stop)],
                )  # fmt: skip
            found = read_newest(folder / name)[0]
        assert found is not None
        assert found.best is not None
        arrays = [*found.variables, *found.best.weights]
        states[name] = [*(array.tobytes() for array in arrays), [row | {"seconds": 0} for row in found.history]]
    return {
        name: [str(index) for index, (a, b) in enumerate(zip(state, states["whole"], strict=True)) if a != b]
        for name, state in states.items()
    }


WHOLE_EPOCHS = make_recipe(
    {
        "layers": ["dense 6", "batchnorm"], "batch_size": 12, "steps": 11, "flip": "alternating", "translate": 1,
        "loss": "categorical_crossentropy", "label_smoothing": 0.1, "schedule": "triangular",
    }
)  # fmt: skip


# What the recipes for GPUs are made of.
WHOLE_FAST = make_recipe(
    {
        "model": "fast", "widths": [4], "group_convolutions": 2, "group_pooling": "after", "residual": True,
        "stem_filters": 4, "stem_kernel": 2, "stem_strides": 1, "stem_padding": "valid", "logit_scale": 0.125,
        "optimizer": "muon", "learning_rate": 0.2, "kernel_rate": 0.12, "momentum": 0.85, "schedule": "triangular",
        "loss": "categorical_crossentropy", "label_smoothing": 0.1, "batch_size": 10, "steps": 8, "flip": "alternating",
        "translate": 1, "cutout": 2, "flip_predictions": True, "shift_predictions": 1,
    }
)  # fmt: skip


def whole_epochs(folder: Path, recipe: Recipe, ways: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """The same training step by step and as whole epochs, as whole epochs that were stopped after so many steps, and as
    the benchmark for GPUs runs it."""
    data, found = small_data(), {}
    folder.mkdir()
    for name, stops in ways.items():
        checkpoint = None
        for stop in (*stops, 1000):
            keras.utils.set_random_seed(0)
            net = build_training_net(recipe, data.image_shape, 4)
            with contextlib.suppress(Stop):
                result = fit(
                    recipe, net, data.train, data.test, history_path=folder / f"{name}.csv",
                    checkpoints=folder / name, resume=checkpoint, quiet=True, whole_epochs=name != "steps",
                    callbacks=[StopAt(stop)],
                )  # fmt: skip
            checkpoint = read_newest(folder / name)[0]
        found[name] = {
            "history": [{key: value for key, value in row.items() if key != "seconds"} for row in result.history],
            "weights": values_of(net),
        }
    model = serving_model_of(as_saved(net, recipe, data.image_shape, 4), recipe, data.image_shape)
    answers = model.predict(data.test.images, verbose=0).argmax(axis=1)
    return {**found, "warm": warm(folder, recipe), "accuracy": float((answers == data.test.labels).mean())}


def values_of(net: keras.Model) -> list[list[float]]:
    return [np.asarray(variable).ravel().tolist() for variable in net.variables]


def warm(folder: Path, recipe: Recipe) -> dict[str, Any]:
    data = small_data()
    archive, path = folder / "stripes.npz", folder / "warm.toml"
    pixels, labels = (data.train.images, data.test.images), (data.train.labels, data.test.labels)
    np.savez(archive, x_train=pixels[0], y_train=labels[0], x_test=pixels[1], y_test=labels[1])
    path.write_text(to_toml(recipe, "made for a test"), encoding="utf-8")
    training = compiled(str(path), str(archive))
    # What it is compared with has seed 0; another one comes before it.
    training.run(5)
    return {**timed_runs(training, 1), "weights": values_of(training.net)}


def by_clock(folder: Path) -> dict[str, Any]:
    """Steps and highest rate of a training by the clock, and its weights beside those of the recipe that replays it."""
    recipe = make_recipe({"layers": DENSE, "batch_size": 8, "optimizer": "sgd", "learning_rate": 0.1})
    data = small_data()

    def trained(recipe: Any, budget: TimeBudget | None) -> list[list[float]]:
        keras.utils.set_random_seed(0)
        net = build_training_net(recipe, data.image_shape, 4)
        fit(recipe, net, data.train, None, history_path=folder / "c.csv", quiet=True, budget=budget)
        return values_of(net)

    budget = TimeBudget(recipe, time.perf_counter(), 1, least_seconds=3.0)
    first = trained(recipe, budget)
    recorded = budget.recorded(recipe)
    recorded = recorded.replace(epochs=-(-recorded.steps // -(-len(data.train) // 8)))
    return {
        "steps": recorded.steps,
        "highest": max(recorded.schedule_rates),
        "weights": [first, trained(recorded, None)],
    }


class Interrupt(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.now == self.epoch and batch == 1:
            raise KeyboardInterrupt


def main(folder: Path) -> None:
    batches(folder)
    recipe = make_recipe(
        {"layers": LAYERS, "batch_size": 8, "epochs": 2, "flip": "random", "translate": 2, "validation": "none"}
    )
    summary = train(recipe, small_data(), out=folder / "run", settings=Settings(quiet=True, report=False))
    print(
        json.dumps(
            {
                "summary": summary,
                "bad": message(folder, optimizer="sgd", learning_rate=1e38),
                "kept": message(folder, [Interrupt(1)]),
                "nothing": message(folder, [Interrupt(0)]),
                "weighted": weighted_losses(),
                "resumed": resumed(folder),
                "whole_epochs": whole_epochs(
                    folder / "dense", WHOLE_EPOCHS, {"steps": (), "stopped": (2,), "epochs": ()}
                ),
                "whole_fast": whole_epochs(folder / "fast", WHOLE_FAST, {"steps": (), "epochs": ()}),
                "by_clock": by_clock(folder),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
