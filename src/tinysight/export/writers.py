"""Every format's writer, for a model that is on TensorFlow, and the layer to name when a writer cannot."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError
from tinysight.export.blame import guilty_layer
from tinysight.export.formats import Wanted
from tinysight.export.keras_file import convert_keras, predict_keras, write_keras
from tinysight.export.litert import convert_litert, write_litert
from tinysight.export.onnx import convert_and_check, write_onnx
from tinysight.export.onnx_int8 import write_onnx_int8
from tinysight.export.saved_model import convert_saved_model, predict_saved_model, write_saved_model
from tinysight.runs import export_name
from tinysight.serving.model_info import ModelInfo


@dataclass(frozen=True, kw_only=True)
class Writer:
    """How one format is written.

    Attributes:
        write: (model, path, info), a serving model as float.
        write_int8: (model, path, info, training images), or None where there is no int8.
        convert: (any model, path), the conversion alone.
    """

    write: Callable[[Any, Path, ModelInfo], object]
    convert: Callable[[Any, Path], None]
    write_int8: Callable[[Any, Path, ModelInfo, NDArray[np.uint8]], object] | None = None


WRITERS: dict[str, Writer] = {
    "onnx": Writer(write=write_onnx, convert=convert_and_check, write_int8=write_onnx_int8),
    "litert": Writer(write=write_litert, convert=convert_litert, write_int8=write_litert),
    "saved-model": Writer(write=write_saved_model, convert=convert_saved_model),
    "keras": Writer(write=write_keras, convert=convert_keras),
}
# What only TensorFlow can run: (path, images, how many at once) to probabilities.
TENSORFLOW_RUNS: dict[str, Callable[[Path, NDArray[np.uint8], int], NDArray[np.float32]]] = {
    "saved-model": predict_saved_model,
    "keras": predict_keras,
}


def write_format(
    model: Any, wanted: Wanted, path: Path, info: ModelInfo, calibration: NDArray[np.uint8] | None = None
) -> None:
    """Writes one file, or folder, of a serving model on TensorFlow.

    Args:
        model: uint8 pixels (n, height, width, channels) to float32 probabilities.
        wanted: the format, and whether it is quantized.
        path: where it goes; nothing lies there.
        info: what travels with it.
        calibration: uint8 training images, for int8.

    Raises:
        ModelError: when the format cannot express the model; names the layer where one is to blame.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = WRITERS[wanted.format]
    try:
        if wanted.quantize is None:
            writer.write(model, path, info)
            return
        if writer.write_int8 is None or calibration is None:
            raise ValueError(f"{wanted.title} needs a writer for int8 and images to calibrate with")
        described = {"quantize": wanted.quantize, "calibration_images": len(calibration)}
        writer.write_int8(model, path, replace(info, extra=info.extra | described), calibration)
    except ModelError as error:
        raise _with_layer(error, model, wanted) from error


def _with_layer(error: ModelError, model: Any, wanted: Wanted) -> ModelError:
    """The error with the layer that is to blame; what cannot be written as float cannot be as int8 either."""
    convert = WRITERS[wanted.format].convert
    with tempfile.TemporaryDirectory(prefix="tinysight-") as folder:

        def convert_part(part: Any) -> None:
            convert(part, Path(tempfile.mkdtemp(dir=folder)) / export_name(wanted.format))

        found = guilty_layer(model, convert_part)
    if found is None:
        return error
    layer, reason = found
    why = reason.partition(": ")[2] or reason
    return ModelError(f"{wanted.title} cannot express layer '{layer.name}' ({type(layer).__name__}): {why}")
