"""Every shipped recipe and kinds of own nets, through every format, with weights that nobody trained."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import write_own_code

from tinysight.data.entries import CATALOG
from tinysight.errors import ModelError
from tinysight.export.build import open_exported
from tinysight.export.embedded import read_info
from tinysight.export.formats import Wanted
from tinysight.export.parity import compare, require_equal
from tinysight.recipe import Recipe, load_recipe, make_recipe, recipe_names
from tinysight.runs import export_name
from tinysight.serving.model_info import ModelInfo, from_json

CNN = ("conv 8", "pool", "conv 8", "pool", "flatten", "dense 16")
# What the shipped recipes leave out, each where it could get lost: own layers and mirroring.
CORNERS = {
    "maxout, sums, mirrored": {"layers": CNN, "activation": "maxout", "pooling": "sum", "flip_predictions": True},
    "fast, mirrored and moved": {
        "model": "fast",
        "widths": (8, 16),
        "stem_filters": 6,
        "flip_predictions": True,
        "shift_predictions": 1,
    },
}
FORMATS = ("onnx", "litert", "saved-model", "keras")


def recipes() -> dict[str, Recipe]:
    """Shipped ones with groups of no more than 24 filters: how wide they are means nothing to a format."""
    shipped = {name: load_recipe(name) for name in recipe_names()}
    shipped = {
        name: recipe.replace(widths=[min(width, 24) for width in recipe.widths]) for name, recipe in shipped.items()
    }
    return shipped | {name: make_recipe({"name": "corner", **values}) for name, values in CORNERS.items()}


def model_of(recipe: Recipe, shape: tuple[int, int, int], num_classes: int) -> Any:
    import keras

    from tinysight.models.registry import build_net
    from tinysight.models.serving import serving_model_of

    keras.utils.set_random_seed(3)
    net = build_net(recipe, shape, num_classes)
    return serving_model_of(net, recipe, shape)


def info_of(shape: tuple[int, int, int], num_classes: int) -> ModelInfo:
    names = tuple(f"klasse {number} ä" for number in range(num_classes))
    return ModelInfo(class_names=names, image_shape=shape, recipe="r", created="now", version="0", extra={"run": "x"})


def pixels(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *shape), np.uint8)


def answers(wanted: Wanted, path: Path, images: np.ndarray) -> np.ndarray:
    from tinysight.export.writers import TENSORFLOW_RUNS

    if wanted.format in TENSORFLOW_RUNS:
        return TENSORFLOW_RUNS[wanted.format](path, images, 12)
    predict = open_exported(wanted, path)
    return np.concatenate([predict(images[:1]), predict(images[1:])])


def check(model: Any, shape: tuple[int, int, int], num_classes: int, format_name: str, folder: Path) -> Path:
    from tinysight.export.writers import write_format

    wanted, images = Wanted(format=format_name), pixels(20, shape)
    path = folder / export_name(format_name)
    write_format(model, wanted, path, info_of(shape, num_classes))
    expected = np.asarray(model.predict(images, verbose=0))
    assert expected.std() > 1e-4, "a net that says the same of everything shows nothing"
    require_equal(compare(expected, answers(wanted, path, images), np.zeros(20, int)), wanted.title)
    return path


@pytest.mark.parametrize("name", list(recipes()))
def test_every_recipe_in_every_format(keras_module: Any, tmp_path: Path, name: str) -> None:
    recipe = recipes()[name]
    entry = CATALOG[recipe.data]
    model = model_of(recipe, entry.image_shape, entry.num_classes)
    for format_name in FORMATS:
        check(model, entry.image_shape, entry.num_classes, format_name, tmp_path)


@pytest.mark.parametrize("name", list(recipes()))
def test_weights_go_around_the_converter_to_onnx(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whichever of a net's weights are large, its ONNX file is whole and gives the same answers."""
    import onnx
    from tf2onnx import optimizer

    from tinysight.export import onnx_weights

    recipe = recipes()[name]
    entry = CATALOG[recipe.data]
    model = model_of(recipe, entry.image_shape, entry.num_classes)
    # Vectors stay: the converter folds normalisation.
    monkeypatch.setattr(onnx_weights, "LARGE", 1 + max(np.prod(each.shape) for each in model.weights) // 4)
    seen: list[int] = []
    optimize = optimizer.optimize_graph

    def spy(graph: Any, *words: Any, **options: Any) -> Any:
        seen.append(len(graph.input_names))
        return optimize(graph, *words, **options)

    monkeypatch.setattr(optimizer, "optimize_graph", spy)
    path = check(model, entry.image_shape, entry.num_classes, "onnx", tmp_path)
    # Not the plain way, which is taken where this one fails.
    assert seen == [1 + len(onnx_weights.large_weights(model))]
    graph = onnx.load(path).graph
    assert [each.name for each in graph.input] == ["pixels"]
    assert not {each.name for each in graph.initializer} & {name for node in graph.node for name in node.output}


def test_weights_of_branches_are_in_the_file(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes of a branch read what lies outside of it."""
    from tinysight.export import onnx_weights

    layers, ops = keras_module.layers, keras_module.ops

    class Branches(keras_module.Model):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.dark, self.bright = layers.Dense(3, activation="softmax"), layers.Dense(3, activation="softmax")

        def build(self, shape: Any) -> None:
            self.dark.build(shape)
            self.bright.build(shape)

        def call(self, images: Any) -> Any:
            return ops.cond(ops.mean(images) > 100, lambda: self.bright(images), lambda: self.dark(images))

    keras_module.utils.set_random_seed(3)
    images = keras_module.Input((4, 4, 1), dtype="uint8")
    model = keras_module.Model(images, Branches()(layers.Flatten()(layers.Rescaling(1.0)(images))))
    monkeypatch.setattr(onnx_weights, "LARGE", 8)
    assert len(onnx_weights.large_weights(model)) == 2
    check(model, (4, 4, 1), 3, "onnx", tmp_path)


def test_a_model_of_several_inputs_is_converted_too(keras_module: Any, tmp_path: Path) -> None:
    import onnx

    from tinysight.export.onnx import convert_here

    layers = keras_module.layers
    inputs = [keras_module.Input((4, 4, 1)), keras_module.Input((4, 4, 1))]
    convert_here(keras_module.Model(inputs, layers.Add()(inputs)), tmp_path / "model.onnx")
    assert len(onnx.load(tmp_path / "model.onnx").graph.input) == 2


@pytest.fixture(scope="module")
def own_code(tmp_path_factory: pytest.TempPathFactory, keras_module: Any) -> Path:
    return write_own_code(tmp_path_factory.mktemp("own-code"))


def own_model(own_code: Path, function: str) -> Any:
    return model_of(make_recipe({"name": "own", "model": f"{own_code}:{function}"}), (28, 28, 1), 10)


def test_a_functional_model_of_ones_own(own_code: Path, tmp_path: Path) -> None:
    model = own_model(own_code, "functional")
    for format_name in FORMATS:
        check(model, (28, 28, 1), 10, format_name, tmp_path)


def test_a_layer_of_ones_own_exports_where_no_code_is_needed_to_run_it(own_code: Path, tmp_path: Path) -> None:
    model = own_model(own_code, "halved")
    for format_name in ("onnx", "litert", "saved-model"):
        check(model, (28, 28, 1), 10, format_name, tmp_path)
    with pytest.raises(ModelError, match=r"Keras file cannot express layer 'halve' \(Halve\)"):
        check(model, (28, 28, 1), 10, "keras", tmp_path)
    assert not (tmp_path / "model.keras").exists()


@pytest.mark.parametrize(
    ("function", "format_name", "message"),
    [
        ("slow", "litert", r"LiteRT cannot express layer 'slow' \(Slow\): .*PyFunc"),
        ("slow", "saved-model", r"SavedModel cannot express layer 'slow' \(Slow\): it calls Python code"),
        ("erf", "onnx", r"ONNX cannot express layer 'erfinv\w*' \(Erfinv\): .*Erfinv"),
    ],
)
def test_the_error_names_layer_and_format(
    own_code: Path, tmp_path: Path, function: str, format_name: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as failure:
        check(own_model(own_code, function), (28, 28, 1), 10, format_name, tmp_path)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("maxout, sums, mirrored", "onnx"),
        ("fast, mirrored and moved", "onnx"),
        ("fast, mirrored and moved", "litert"),
    ],
)
def test_int8_is_smaller_and_close(keras_module: Any, tmp_path: Path, name: str, format_name: str) -> None:
    from tinysight.export.writers import write_format

    shape, wanted = (32, 32, 3), Wanted(format=format_name, quantize="int8")
    model = model_of(recipes()[name], shape, 10)
    images = pixels(40, shape)
    path = tmp_path / export_name(format_name, "int8")
    write_format(model, wanted, path, info_of(shape, 10), images[:30])
    expected = np.asarray(model.predict(images, verbose=0))
    came = answers(wanted, path, images)
    assert came.dtype == np.float32
    np.testing.assert_allclose(came.sum(axis=1), 1, atol=1e-5 if format_name == "onnx" else 10 / 256)
    # Rounded, but not arbitrary: an order nearer than to the answer about any other image.
    assert 0 < np.abs(came - expected).mean() < 0.2 * np.abs(np.roll(expected, 1, axis=0) - expected).mean() + 1e-3


def test_the_record_travels_in_every_file(keras_module: Any, tmp_path: Path) -> None:
    from tinysight.export.writers import write_format
    from tinysight.serving.predictor import Predictor

    shape = (28, 28, 1)
    model, info = model_of(load_recipe("mnist-softmax"), shape, 10), info_of(shape, 10)
    for format_name in FORMATS:
        write_format(model, Wanted(format=format_name), tmp_path / export_name(format_name), info)
    for quantized in ("onnx", "litert"):
        path = tmp_path / export_name(quantized, "int8")
        write_format(model, Wanted(format=quantized, quantize="int8"), path, info, pixels(10, shape))
    assert Predictor(tmp_path / "model.onnx").info == info
    assert read_info(tmp_path / "model.tflite") == info
    assert read_info(tmp_path / "model.keras") == info
    extra = tmp_path / "saved-model" / "assets.extra" / "tinysight.json"
    assert from_json(extra.read_text(encoding="utf-8")) == info
    for record in (Predictor(tmp_path / "model-int8.onnx").info, read_info(tmp_path / "model-int8.tflite")):
        assert record.class_names == info.class_names
        assert record.extra == {"run": "x", "quantize": "int8", "calibration_images": 10}


@pytest.mark.parametrize("content", [b"", b"TFL3 is not enough", None], ids=["empty", "short", "absent"])
def test_a_file_without_record_is_refused(tmp_path: Path, content: bytes | None) -> None:
    from tinysight.export.litert_model import LiteRTModel

    path = tmp_path / "model.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.tflite' holds no tinysight\.json"):
        LiteRTModel(path)


def test_a_damaged_litert_file_is_refused(tmp_path: Path) -> None:
    from tinysight.export.embedded import add_info
    from tinysight.export.litert_model import LiteRTModel

    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(1000))
    add_info(path, info_of((28, 28, 1), 10))
    with pytest.raises(ModelError, match="cannot be read as LiteRT"):
        LiteRTModel(path)


def test_every_format_is_offered() -> None:
    from tinysight.export.formats import format_names

    assert set(format_names()) == {"onnx", "litert", "saved-model", "keras", "web"}


@pytest.mark.parametrize("fails", [False, True])
def test_onnx_is_made_without_copies_where_it_can_be(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """tf2onnx copies a net before each pass over it, weights and all, so that a pass may fail."""
    from tf2onnx import optimizer

    from tinysight.export.onnx import convert_here

    asked, optimize = [], optimizer.optimize_graph

    def spy(graph: Any, catch_errors: bool = True, **options: Any) -> Any:
        asked.append(catch_errors)
        if fails and not catch_errors:
            raise RuntimeError("a pass failed")
        return optimize(graph, catch_errors, **options)

    monkeypatch.setattr(optimizer, "optimize_graph", spy)
    monkeypatch.delenv("TF2ONNX_CATCH_ERRORS", raising=False)
    if not fails:
        monkeypatch.setenv("TF2ONNX_CATCH_ERRORS", "mine")
    layers = keras_module.layers
    model = keras_module.Sequential([keras_module.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)])
    convert_here(model, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 100
    assert asked == ([False, True] if fails else [False])
    assert os.environ.get("TF2ONNX_CATCH_ERRORS") == (None if fails else "mine")
