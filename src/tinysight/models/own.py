"""A model of the user's own: `path/to/file.py:function`, any function that returns a Keras model."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
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

    Raises:
        ModelError: when the file or function is missing or fails, or the model does not fit the data.
    """
    path, _, function_name = name.rpartition(":")
    function = _find(Path(path), function_name)
    arguments = {"input_shape": input_shape, "num_classes": num_classes}
    try:
        parameters = inspect.signature(function).parameters
        model = function(**{key: value for key, value in arguments.items() if key in parameters})
    except Exception as error:
        raise ModelError(f"{name} failed: {type(error).__name__}: {_first_line(error)}") from error
    return _checked(model, name, input_shape, num_classes)


def _find(path: Path, function_name: str) -> Callable[..., Any]:
    if not path.is_file():
        raise ModelError(f"no file {path}; expected --model path/to/file.py:function")
    # The folder of the file is importable, as it is for `python file.py`.
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ModelError(f"{path} cannot be imported: {type(error).__name__}: {_first_line(error)}") from error
    functions = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    if function_name not in functions:
        raise UnknownNameError(f"function in {path}", function_name, functions)
    found: Callable[..., Any] = functions[function_name]
    return found


def _checked(model: Any, name: str, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    if not isinstance(model, keras.Model):
        raise ModelError(f"{name} returned {type(model).__name__}; expected an uncompiled keras.Model")
    if not model.built:
        model.build((None, *input_shape))
    try:
        outputs = model.compute_output_shape((None, *input_shape))
    except Exception as error:
        raise ModelError(f"{name} does not take images of shape {input_shape}: {_first_line(error)}") from error
    if _input_shape(model) not in (None, input_shape):
        raise ModelError(
            f"{name} takes images of shape {_input_shape(model)}; the data has {input_shape}:"
            " give the function a parameter input_shape and use it"
        )
    if tuple(outputs) != (None, num_classes):
        raise ModelError(
            f"{name} gives outputs of shape {tuple(outputs)}; expected (None, {num_classes}), one for each class:"
            " give the function a parameter num_classes and use it"
        )
    return model


def _input_shape(model: keras.Model) -> tuple[int, int, int] | None:
    """The fixed input shape without the batch, or None where the model leaves it open."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or None in shape[1:]:
        return None
    return shape[1:]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
