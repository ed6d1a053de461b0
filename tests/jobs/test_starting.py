"""`tinysight train --from RUN`: what is taken over, what is refused, what is written down, and resuming it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import numbered_images, stripes

from tinysight.errors import DataError, InvalidValueError, RunError
from tinysight.files import read_json
from tinysight.images import DataSet, ImageSet
from tinysight.jobs.settings import Settings
from tinysight.recipe import make_recipe
from tinysight.runs import Run

Command = Callable[..., tuple[int, str, str]]
RECIPES = {
    "cnn": {"layers": ["conv 4", "pool", "dropout 0.2", "dense 6"], "scaling": "0..1"},
    "fast": {"model": "fast", "widths": [8], "stem_filters": 4, "scaling": "-0.5..0.5", "flip_predictions": True},
}


def recipe_of(name: str, **fields: Any) -> Any:
    return make_recipe({"batch_size": 10, "epochs": 1, "validation": "none", **RECIPES[name], **fields})


def named(images: ImageSet, *names: str) -> ImageSet:
    return ImageSet(images=images.images, labels=images.labels, class_names=names)


def data_of(*names: str) -> DataSet:
    count = len(names)
    train, test = stripes(60, num_classes=count), stripes(20, seed=1, num_classes=count)
    return DataSet(name="stripes", train=named(train, *names), test=named(test, *names))


@pytest.fixture(scope="module", params=sorted(RECIPES))
def base(request: pytest.FixtureRequest, keras_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(name of the recipe, a finished run of four classes)."""
    from tinysight.jobs.train import train

    folder = tmp_path_factory.mktemp("base") / "run"
    train(recipe_of(request.param), data_of("ant", "bee", "cat", "dog"), out=folder, settings=Settings(quiet=True))
    return request.param, folder


def started(base: Any, *names: str) -> tuple[Any, Any, dict[str, Any]]:
    """(the run's net, the new net, the record) for a data set with classes of these names."""
    from tinysight.data.validation import split_for_training
    from tinysight.jobs.starting import start
    from tinysight.models.registry import build_net
    from tinysight.models.warm_start import trained_net

    name, folder = base
    recipe, data = recipe_of(name), data_of(*names)
    net = build_net(recipe, data.image_shape, len(names))
    record = start(folder, net, recipe, data, split_for_training(recipe, data))
    return trained_net(Run(folder), recipe, data.image_shape, 4), net, record


def test_the_net_of_a_run_gives_what_its_model_gives(base: Any) -> None:
    from tinysight.models.saving import load_model
    from tinysight.models.serving import serving_model
    from tinysight.models.warm_start import trained_net

    name, folder = base
    images, recipe = stripes(8, seed=5).images, recipe_of(name)
    net = trained_net(Run(folder), recipe, images.shape[1:], 4)
    again = serving_model(net, recipe.scaling, images.shape[1:], flip_predictions=recipe.flip_predictions)
    expected = load_model(folder).predict(images, verbose=0)
    np.testing.assert_allclose(again.predict(images, verbose=0), expected, atol=1e-6)


def test_the_same_classes_take_everything(base: Any) -> None:
    trained, net, record = started(base, "ant", "bee", "cat", "dog")
    for ours, theirs in zip(net.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (record["new_layers"], record["classes"]) == ([], [])
    assert len(record["digest"]) == 64


def test_other_classes_keep_the_head_of_those_with_the_same_name(base: Any) -> None:
    trained, net, record = started(base, "bee", "cow", "ant")
    kernel, old = (next(weight for weight in reversed(one.get_weights()) if weight.ndim == 2) for one in (net, trained))
    np.testing.assert_array_equal(kernel[:, [0, 2]], old[:, [1, 0]])
    assert not np.array_equal(kernel[:, 1], old[:, 1])
    for new, was in zip(net.get_weights()[:-2], trained.get_weights()[:-2], strict=False):
        np.testing.assert_array_equal(new, was)
    assert record["classes"] == ["bee", "ant"]
    assert len(record["new_layers"]) == 1


def test_no_class_in_common(base: Any) -> None:
    _, _, record = started(base, "x", "y", "z", "w")
    assert record["classes"] == []
    assert len(record["new_layers"]) == 1
    assert record["layers"]


def test_other_sizes_are_refused(base: Any) -> None:
    from tinysight.jobs.starting import check_start

    images = numbered_images(30, side=12)
    other = DataSet(name="other", train=images, test=images)
    with pytest.raises(DataError, match=r"trained on images of 9x9, colour, other has 12x12, grey; expected the same"):
        check_start(base[1], other)


def test_another_scaling_is_refused(base: Any) -> None:
    from tinysight.data.validation import split_for_training
    from tinysight.jobs.starting import start

    data = data_of("ant", "bee", "cat", "dog")
    recipe = recipe_of(base[0], scaling="-1..1")
    with pytest.raises(InvalidValueError, match=r"--set scaling="):
        start(base[1], None, recipe, data, split_for_training(recipe, data))


def test_a_run_that_changed_since(base: Any, tmp_path: Path) -> None:
    from tinysight.jobs.starting import start_again

    record = {"run": str(base[1]), "digest": "0" * 64}
    with pytest.raises(RunError, match="is gone or has changed since"):
        start_again(record, None, recipe_of(base[0]), data_of("ant", "bee"), None)  # type: ignore[arg-type]


def test_the_command(base: Any, command: Command, offline: Path) -> None:
    """Own images are brought to the run's size; it is written down, told in the report, and resumed exactly."""
    name, folder = base
    images = stripes(80, side=12, num_classes=3, seed=3)
    np.savez(
        offline / "new.npz", images=images.images, labels=images.labels, class_names=np.array(["bee", "cow", "ant"])
    )
    words = ("train", "--from", folder, "--data", "new.npz", "--epochs", 2, "--checkpoint-minutes", 0)
    status, _, err = command(*words, "--out", "whole", *(["--no-report"] if name == "fast" else []))
    assert status == 0, err
    run = Run(offline / "whole")
    record = read_json(run.environment)["started_from"]
    assert record["run"] == str(folder)
    assert read_json(run.data)["image_shape"] == [9, 9, 3]
    assert f"starting from {folder} (custom on stripes, model sha256 {record['digest'][:12]}): " in err
    assert "2 classes of the same name" in err
    if name == "fast":
        return
    assert record["digest"][:12] in run.report.read_text(encoding="utf-8")
    # Stopped before its first checkpoint: what it began with is taken once more.
    for path in [*run.checkpoints.iterdir(), run.finished_marker, run.history]:
        path.unlink()
    before = np.load(run.predictions)["test_probabilities"].tobytes()
    run.predictions.unlink()
    assert command("train", "--resume", "whole", "--no-report")[0] == 0
    assert np.load(run.predictions)["test_probabilities"].tobytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "gone"), "no run at 'gone'"),
        (("--from", "gone", "--minutes", "1"), "--from and --minutes exclude each other"),
    ],
)
def test_refused(words: tuple[str, ...], message: str, command: Command) -> None:
    status, out, err = command("train", *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"tinysight: {message}")
    assert err.count("\n") == 1
