"""The run's model as a `.keras` file with the record inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError
from tinysight.export.embedded import add_info
from tinysight.models.saving import load_keras_file, save_keras_file
from tinysight.serving.model_info import ModelInfo


def write_keras(model: Any, path: Path, info: ModelInfo) -> None:
    """Writes a serving model in Keras's own format; Keras passes over the member that holds the record.

    Raises:
        ModelError: when the model has classes that Keras could only load with the person's own code.
    """
    convert_keras(model, path)
    add_info(path, info)


def convert_keras(model: Any, path: Path) -> None:
    """The conversion alone, of any model."""
    own = sorted({type(part).__name__ for part in _parts(model) if _is_foreign(part)})
    if own:
        raise ModelError(
            f"the model cannot be written as Keras file: whoever loads it would need your class {', '.join(own)}"
        )
    save_keras_file(model, path)


def _parts(model: Any) -> list[Any]:
    # Not `_flatten_layers`, which is private: nets lie in nets as layers.
    parts = [model]
    for layer in getattr(model, "layers", []):
        parts += _parts(layer)
    return parts


def _is_foreign(part: Any) -> bool:
    return type(part).__module__.partition(".")[0] not in ("keras", "tinysight")


def predict_keras(path: Path, images: NDArray[np.uint8], batch_size: int) -> NDArray[np.float32]:
    """Probabilities that the file gives: uint8 (n, height, width, channels) to float32 (n, classes)."""
    model = load_keras_file(path)
    return np.asarray(model.predict(images, batch_size=batch_size, verbose=0), np.float32)
