"""Saving and loading models, without ever running code that came with a file."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import keras

from tinysight.errors import ModelError
from tinysight.files import atomic_path, write_text
from tinysight.models import fast as _fast  # noqa: F401 - registers its initializers with Keras
from tinysight.models import layers as _registered  # noqa: F401 - registers our layers with Keras
from tinysight.models import serving as _also_registered  # noqa: F401
from tinysight.runs import Run

_NO_CODE = "it would have to run code that came with the file, which is refused"


def save_keras_file(model: keras.Model, path: Path) -> Path:
    """Writes the model in Keras's own format, whole or not at all."""
    with atomic_path(path) as temporary:
        model.save(temporary)
    return path


def save_pair(net: keras.Model, architecture: Path, weights: Path) -> None:
    """Writes the net as the tutorials do: its architecture as JSON, its weights as HDF5 (`NAME.weights.h5`).

    This pair holds the net alone: it takes scaled images, not raw pixels.
    """
    write_text(architecture, net.to_json(indent=2) + "\n")
    with atomic_path(weights) as temporary:
        net.save_weights(temporary)


def load_model(path: str | Path) -> keras.Model:
    """A Keras model from a run folder, a `.keras` file, or an architecture JSON with its weights beside it.

    Args:
        path: a run folder (its whole model, from raw pixels to probabilities), a `.keras` file, or `architecture.json`
            with `model.weights.h5` in the same folder (the net alone, as the tutorials save it).

    Raises:
        ModelError: when there is no such file, it is damaged, or it could only be loaded by running code from it
            (Lambda layers, pickles, classes of the user's own).
    """
    path = Path(path)
    if path.is_dir():
        return load_keras_file(Run(path).keras_model)
    if path.suffix == ".json":
        return _load_pair(path)
    return load_keras_file(path)


def load_keras_file(path: Path) -> keras.Model:
    """The model in a `.keras` file, in Keras's safe mode and uncompiled.

    Raises:
        ModelError: as `load_model`.
    """
    if path.suffix in (".h5", ".hdf5"):
        raise ModelError(f"'{path}' is a legacy HDF5 model, for which Keras has no safe mode; save it as .keras")
    if not path.is_file():
        raise ModelError(f"no model at '{path}': expected a .keras file or a run folder")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"'{path}' is no Keras model file: expected a .keras archive, perhaps it is cut off")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ModelError(f"cannot load '{path}': {_reason(error)}") from None


def _load_pair(path: Path) -> keras.Model:
    weights = Run(path.parent).weights_h5
    for needed in (path, weights):
        if not needed.is_file():
            raise ModelError(f"no file {needed}: expected an architecture JSON and {weights.name} in one folder")
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
        with keras.saving.custom_object_scope({}):
            model: Any = keras.models.model_from_json(text)
        model.load_weights(weights)
    except Exception as error:
        raise ModelError(f"cannot load '{path}' with {weights.name}: {_reason(error)}") from None
    return model


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "unsafe" in text.lower() or "lambda" in text.lower() or "safe_mode" in text:
        return f"{_NO_CODE} (a Lambda layer or other Python code inside)"
    unknown = re.search(r"Could not locate \w+ '([^']+)'", text)
    if unknown:
        return f"{_NO_CODE}: '{unknown[1]}' is no part of Keras or Tinysight; predict with the run's model.onnx instead"
    return f"{type(error).__name__}: {text[:200]}"
