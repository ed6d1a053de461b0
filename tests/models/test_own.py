"""A model of the user's own, good and bad."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinysight.errors import ModelError, TinysightError, UnknownNameError
from tinysight.recipe import make_recipe

SHAPE, NUM_CLASSES = (8, 8, 3), 4
# Keras advises against `input_shape=` in a layer; tutorials are full of it.
pytestmark = pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning")


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


def build(folder: Path, code: str, function: str = "make_model") -> Any:
    from tinysight.models.registry import build_net

    path = folder / "my nets" / "own_net.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    return build_net(make_recipe({"model": f"{path}:{function}"}), SHAPE, NUM_CLASSES)


TENSORFLOW_KERAS = """
    from tensorflow.keras import layers, models

    def make_model():
        model = models.Sequential()
        model.add(layers.Conv2D(4, (3, 3), activation='relu', input_shape=(8, 8, 3)))
        model.add(layers.Flatten())
        model.add(layers.Dense(4, activation='softmax'))
        return model
    """
SUBCLASS = """
    import keras

    class Net(keras.Model):
        def __init__(self, units):
            super().__init__()
            # Made first and used last: the order of attributes is not the order of layers.
            self.last = keras.layers.Dense(units, activation="softmax")
            self.flat = keras.layers.Flatten()
            self.hidden = keras.layers.Dense(5)

        def call(self, inputs):
            return self.last(self.hidden(self.flat(inputs)))

    def make_model(num_classes, **further):
        assert not further
        return Net(num_classes)
    """


def test_tensorflow_keras_without_arguments(tmp_path: Path) -> None:
    net = build(tmp_path, TENSORFLOW_KERAS)
    assert net.output_shape == (None, 4)
    assert net.count_params() == (3 * 3 * 3 + 1) * 4 + (6 * 6 * 4 + 1) * 4


def test_arguments_by_name(tmp_path: Path) -> None:
    net = build(
        tmp_path,
        """
        import keras

        def make_model(num_classes, width=3, input_shape=None):
            assert (width, input_shape) == (3, (8, 8, 3))
            return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)])
        """,
    )
    assert net.output_shape == (None, 4)


def test_subclass(tmp_path: Path) -> None:
    net = build(tmp_path, SUBCLASS)
    assert net.input_shape == (None, 8, 8, 3)
    assert net.count_params() == (192 + 1) * 5 + (5 + 1) * 4


def test_a_model_of_any_image_size(tmp_path: Path) -> None:
    net = build(
        tmp_path,
        """
        import keras

        def make_model():
            layers = keras.layers
            return keras.Sequential(
                [keras.Input((None, None, 3)), layers.Conv2D(5, 3), layers.GlobalMaxPooling2D(), layers.Dense(4)]
            )
        """,
    )
    assert net.input_shape == (None, 8, 8, 3)


def test_neighbouring_files_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "my nets").mkdir()
    (tmp_path / "my nets" / "beside_own_net.py").write_text("UNITS = 4\n", encoding="utf-8")
    net = build(
        tmp_path,
        """
        import keras
        from beside_own_net import UNITS

        def make_model():
            return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(UNITS)])
        """,
    )
    assert net.output_shape == (None, 4)


def test_a_file_called_like_a_library_does_not_replace_it(tmp_path: Path) -> None:
    import sys

    from tinysight.models.registry import build_net

    path = tmp_path / "numpy.py"
    path.write_text(textwrap.dedent(TENSORFLOW_KERAS), encoding="utf-8")
    build_net(make_recipe({"model": f"{path}:make_model"}), SHAPE, NUM_CLASSES)
    assert sys.modules["numpy"] is np


def sequential(shape: tuple[int, ...], units: int) -> str:
    return f"""
    import keras

    def make_model():
        return keras.Sequential([keras.Input({shape}), keras.layers.Flatten(), keras.layers.Dense({units})])
    """


BAD = {
    "raises": ("def make_model():\n    raise RuntimeError('no\\nmore')", "failed: RuntimeError: no"),
    "arguments": ("def make_model(classes):\n    pass", "failed: TypeError: make_model() missing 1 required"),
    "import": ("import no_such_library", "cannot be imported: ModuleNotFoundError: No module named 'no_such_library'"),
    "syntax": ("def make_model(:", "cannot be imported: SyntaxError"),
    "exit": ("raise SystemExit(0)", "cannot be imported: SystemExit"),
    "none": ("def make_model():\n    pass", "returned NoneType; expected an uncompiled keras.Model"),
    "layer": ("import keras\ndef make_model():\n    return keras.layers.Dense(4)", "returned Dense; expected"),
    "shape": (sequential((28, 28, 1), 4), "takes images of shape (28, 28, 1); the data has (8, 8, 3)"),
    "transposed": (sequential((3, 8, 8), 4), "takes images of shape (3, 8, 8); the data has (8, 8, 3)"),
    "classes": (sequential((8, 8, 3), 10), "gives outputs of shape (None, 10); expected (None, 4)"),
    "flat": (sequential((192,), 4), "the data has (8, 8, 3)"),
    "image": (
        "import keras\ndef make_model():\n    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Dense(4)])",
        "gives outputs of shape (None, 8, 8, 4); expected (None, 4)",
    ),
    "two outputs": (
        """
        import keras
        def make_model():
            images = keras.Input((8, 8, 3))
            flat = keras.layers.Flatten()(images)
            return keras.Model(images, [keras.layers.Dense(4)(flat), keras.layers.Dense(4)(flat)])
        """,
        "expected (None, 4)",
    ),
    "two inputs": (
        """
        import keras
        def make_model():
            a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
            return keras.Model([a, b], keras.layers.Dense(4)(keras.layers.Flatten()(a + b)))
        """,
        "does not take images of shape (8, 8, 3)",
    ),
    "broken call": (
        """
        import keras
        class Net(keras.Model):
            def call(self, inputs):
                raise ZeroDivisionError("by nought")
        def make_model():
            return Net()
        """,
        "does not take images of shape (8, 8, 3): by nought",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_one_line(name: str, tmp_path: Path) -> None:
    code, message = BAD[name]
    with pytest.raises(ModelError) as error:
        build(tmp_path, code)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "own_net.py" in str(error.value)


def test_missing_function_names_the_closest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"function in .*own_net\.py 'mak_model': did you mean 'make_model'"):
        build(tmp_path, "def make_model():\n    pass", "mak_model")


def test_missing_file(tmp_path: Path) -> None:
    from tinysight.models.registry import build_net

    with pytest.raises(ModelError, match=r"no file .*gone\.py; expected --model path/to/file\.py:function"):
        build_net(make_recipe({"model": f"{tmp_path / 'gone.py'}:make_model"}), SHAPE, NUM_CLASSES)


def test_no_function(tmp_path: Path) -> None:
    from tinysight.models.registry import build_net

    with pytest.raises(TinysightError, match=r"path/to/file\.py:function"):
        build_net(make_recipe({"model": str(tmp_path / "gone.py")}), SHAPE, NUM_CLASSES)


ENDS = {
    "softmax activation": ("keras.layers.Dense(4, activation='softmax')(flat)", True),
    "activation layer": ("keras.layers.Activation('softmax')(keras.layers.Dense(4)(flat))", True),
    "softmax layer": ("keras.layers.Softmax()(keras.layers.Dense(4)(flat))", True),
    "operation": ("keras.ops.softmax(keras.layers.Dense(4)(flat))", True),
    "logits": ("keras.layers.Dense(4)(flat)", False),
    "sigmoid": ("keras.layers.Dense(4, activation='sigmoid')(flat)", False),
    "softmax inside": ("keras.layers.Dense(4)(keras.layers.Dense(4, activation='softmax')(flat))", False),
}


@pytest.mark.parametrize("name", ENDS)
def test_probabilities_are_told_from_logits(name: str, tmp_path: Path) -> None:
    from tinysight.models.serving import gives_probabilities

    end, expected = ENDS[name]
    net = build(
        tmp_path,
        f"""
        import keras

        def make_model():
            images = keras.Input((8, 8, 3))
            flat = keras.layers.Flatten()(images)
            return keras.Model(images, {end})
        """,
    )
    assert gives_probabilities(net) is expected


def test_probabilities_of_a_subclass(tmp_path: Path) -> None:
    from tinysight.models.serving import gives_probabilities

    assert gives_probabilities(build(tmp_path, SUBCLASS))
