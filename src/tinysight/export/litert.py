"""A Keras model as a LiteRT file (`.tflite`), float or int8, by Keras's own export on TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError
from tinysight.export.embedded import add_info
from tinysight.export.onnx import first_reason, quiet
from tinysight.serving.model_info import ModelInfo


def write_litert(model: Any, path: Path, info: ModelInfo, calibration: NDArray[np.uint8] | None = None) -> None:
    """Writes a serving model for LiteRT, with the record inside.

    Args:
        model: a Keras model on TensorFlow, uint8 pixels (n, height, width, channels) to float32 probabilities.
        path: ends in `.tflite`.
        info: what travels with it.
        calibration: uint8 training images (n, height, width, channels); given, weights and activations become int8.
            Pixels still go in raw. The converter makes softmax int8 too, so probabilities are steps of 1/256 and
            need not sum to 1.

    Raises:
        ModelError: when the model has an operation that LiteRT lacks.
    """
    convert_litert(model, path, calibration)
    add_info(path, info)


def convert_litert(model: Any, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """The conversion alone, of any model."""
    import tensorflow as tf

    # LiteRT's own operations only: TensorFlow's ("select ops") need a library that phones and ai-edge-litert lack.
    operations = [tf.lite.OpsSet.TFLITE_BUILTINS]
    settings: dict[str, Any] = {}
    if calibration is not None:
        operations.append(tf.lite.OpsSet.TFLITE_BUILTINS_INT8)
        settings = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([image[None]] for image in calibration),
        }
    try:
        with quiet():
            model.export(path, format="litert", verbose=False, target_spec={"supported_ops": operations}, **settings)
    except Exception as error:
        raise ModelError(f"the model cannot be written as LiteRT: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The converter's text is a page of places; the line that helps lists the operations."""
    for line in str(error).splitlines():
        title, separator, names = line.partition(" ops: ")
        if separator and title.strip() in ("Custom", "Flex", "TF Select"):
            return f"LiteRT has no operation for TensorFlow's {names.strip()}"
    return first_reason(error)
