"""A model of the user's own: `path/to/file.py:function`, any function that returns a Keras model."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from tinysight.errors import ModelError, UnknownNameError


def is_own_model(name: str) -> bool:
    """Whether `name` is `path/to/file.py:function` rather than the name of a net."""
    path, separator, _ = name.rpartition(":")
    return bool(separator) and path.endswith(".py")


def build_own(name: str, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """The model that the user's function returns.

    The function is called with those of `input_shape` and `num_classes` that it has parameters for.

    Args:
        name: `path/to/file.py:function`.
        input_shape: (height, width, channels) of the scaled images, float32.
        num_classes: how many outputs are expected.

    Returns:
        The model itself, or, where it leaves its input open, a model of the given input shape around it.

    Raises:
        ModelError: when the file or function is missing or fails, or the model does not fit the data.
    """
    file, _, function_name = name.rpartition(":")
    path = Path(file)
    arguments = {"input_shape": input_shape, "num_classes": num_classes}
    with _importable(path.resolve().parent):
        function = _find(path, function_name)
        try:
            parameters = inspect.signature(function).parameters
            model = function(**{key: value for key, value in arguments.items() if key in parameters})
        except (Exception, SystemExit) as error:
            raise ModelError(f"{name} failed: {type(error).__name__}: {_first_line(error)}") from error
    return _checked(model, name, input_shape, num_classes)


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """What lies beside the file can be imported, as with `python file.py`, but no longer than the file needs it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _find(path: Path, function_name: str) -> Callable[..., Any]:
    if not path.is_file():
        raise ModelError(f"no file {path}; expected --model path/to/file.py:function")
    # A file may be called numpy.py or json.py: it must not take the place of that module.
    module_name = f"own_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ModelError(f"{path} cannot be imported: {type(error).__name__}: {_first_line(error)}") from error
    functions = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    if function_name not in functions:
        raise UnknownNameError(f"function in {path}", function_name, functions)
    found: Callable[..., Any] = functions[function_name]
    return found


def _checked(model: Any, name: str, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    if not isinstance(model, keras.Model):
        raise ModelError(f"{name} returned {type(model).__name__}; expected an uncompiled keras.Model")
    shape = _input_shape(model)
    if shape not in (None, input_shape):
        raise ModelError(
            f"{name} takes images of shape {shape}; the data has {input_shape}:"
            " give the function a parameter input_shape and use it"
        )
    images = keras.Input(input_shape)
    try:
        # Builds a model that has no shapes yet, too.
        outputs = model(images)
    except Exception as error:
        raise ModelError(f"{name} does not take images of shape {input_shape}: {_first_line(error)}") from error
    came = keras.tree.map_structure(lambda output: tuple(output.shape), outputs)
    if came != (None, num_classes):
        raise ModelError(
            f"{name} gives outputs of shape {came}; expected (None, {num_classes}), one for each class:"
            " give the function a parameter num_classes and use it"
        )
    return model if shape == input_shape else keras.Model(images, outputs, name=model.name)


def _input_shape(model: keras.Model) -> tuple[int, ...] | None:
    """The fixed input shape without the batch, or None where the model leaves it open."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or None in shape[1:]:
        return None
    return shape[1:]


def _first_line(error: BaseException) -> str:
    """Of a text of Keras's, too, whose first paragraphs tell only which call failed."""
    text = str(error).rpartition("Error encountered:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    return re.sub(r"\x1b\[\d*m", "", lines[0]) if lines else "no message"
