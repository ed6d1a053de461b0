"""A Keras model as an ONNX file with its metadata, by Keras's own export on TensorFlow."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError
from tinysight.files import atomic_path
from tinysight.native_output import without_native_stderr
from tinysight.serving.model_info import METADATA_KEY, ModelInfo, to_json

# What a float file may differ from Keras, as the largest difference of any probability.
TOLERANCE = 1e-4
INPUT_NAME, OUTPUT_NAME, BATCH_NAME = "pixels", "probabilities", "batch"


def write_onnx(model: Any, path: Path, info: ModelInfo) -> Path:
    """Writes a serving model as ONNX.

    Args:
        model: a Keras model from uint8 pixels (n, height, width, channels) to float32 probabilities (n, classes).
        path: where the file goes, whole or not at all.
        info: what travels with it as metadata.

    Raises:
        ModelError: when the model has an operation that ONNX cannot express; the text names what is known of it.
    """
    import onnx

    with tempfile.TemporaryDirectory(prefix="tinysight-") as folder:
        raw = Path(folder) / "model.onnx"
        _convert(model, raw)
        graph = onnx.load(raw)
    replace_erfc(graph)
    check_operations(graph)
    _name(graph, info)
    with atomic_path(path) as temporary:
        onnx.save(graph, temporary)
    return path


def _convert(model: Any, path: Path) -> None:
    import keras

    if keras.backend.backend() == "tensorflow":
        convert_here(model, path)
        return
    # TensorFlow is a dependency on every machine, so there is one exporter, whatever the training ran on.
    saved = path.with_suffix(".keras")
    model.save(saved)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-P", "-m", "tinysight.export.onnx_worker", str(saved), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"the model cannot be written as ONNX: {last}")


def convert_here(model: Any, path: Path) -> None:
    """Keras's export in this process, whose backend must be TensorFlow.

    Raises:
        ModelError: when the model has an operation that ONNX cannot express.
    """
    try:
        if not getattr(model, "_called", False):
            zeros = [np.zeros((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
            model(zeros[0] if len(zeros) == 1 else zeros)
        with contextlib.suppress(Exception), _without_copies():
            _export_alone(model, path)
            return
        _export(model, path)
    except Exception as error:
        raise ModelError(f"the model cannot be written as ONNX: {first_reason(error)}") from error


def _export(model: Any, path: Path, **options: Any) -> None:
    # What TensorFlow itself prints, too: whether it does depends on what was imported before it.
    with quiet(), without_native_stderr():
        model.export(path, format="onnx", verbose=False, **options)


def _export_alone(model: Any, path: Path) -> None:
    """The export of what predicts as `model` of one input, but has no layers that can be asked; see `onnx_weights`.

    Keras's export asks every attribute of every layer for lookup tables, which ONNX has none of: a fourth of the time
    that a small net's conversion takes.
    """
    import keras
    import onnx

    from tinysight.export.onnx_weights import called_with, large_weights, put_weights

    class Alone(keras.Model):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            super().__init__(name=model.name)
            self.built = True

        def call(self, inputs: Any) -> Any:
            return called_with(model, inputs[0], weights, inputs[1:])

    (images,), weights = model.inputs, large_weights(model)
    signature = [keras.InputSpec(shape=each.shape, dtype=each.dtype) for each in (images, *weights)]
    _export(Alone(), path, input_signature=[signature])
    graph = onnx.load(path)
    put_weights(graph, weights)
    # Whatever is wrong with it, the plain way may do better.
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


@contextlib.contextmanager
def _without_copies() -> Iterator[None]:
    """Lets tf2onnx work on its graph itself rather than on a copy for every pass over it.

    Of copies, which are there in case that a pass fails, a net of a million parameters had 245 MB at once. The variable
    is tf2onnx's own, and works whatever its value; see `_convert_common` in its convert.py.
    """
    name = "TF2ONNX_CATCH_ERRORS"
    before = os.environ.get(name)
    os.environ[name] = "FALSE"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def first_reason(error: Exception) -> str:
    """The kind of a library's error and the start of its text, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def convert_and_check(model: Any, path: Path) -> None:
    """The conversion alone, of any model, in a process whose backend is TensorFlow.

    Raises:
        ModelError: as `write_onnx`.
    """
    import onnx

    convert_here(model, path)
    graph = onnx.load(path)
    replace_erfc(graph)
    check_operations(graph)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Converters log every step, and Keras's patch of tf2onnx for NumPy 2 warns."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def replace_erfc(graph: Any) -> None:
    """Writes Erfc, which Keras's exact GELU is made of and ONNX lacks, as 1 - Erf.

    For large inputs this keeps fewer digits; in GELU the error stays below 1e-7 of the input.
    """
    from onnx import helper, numpy_helper

    nodes = list(graph.graph.node)
    if not any(node.op_type == "Erfc" for node in nodes):
        return
    graph.graph.initializer.append(numpy_helper.from_array(np.float32(1), "erfc_one"))
    del graph.graph.node[:]
    for node in nodes:
        if node.op_type == "Erfc":
            (before,), (after,) = node.input, node.output
            graph.graph.node.append(helper.make_node("Erf", [before], [f"{after}_erf"], name=f"{node.name}_erf"))
            node = helper.make_node("Sub", ["erfc_one", f"{after}_erf"], [after], name=node.name)
        graph.graph.node.append(node)


def check_operations(graph: Any) -> None:
    """tf2onnx writes an operation that it does not know under TensorFlow's name, and says so in its log only.

    Raises:
        ModelError: when the graph has an operation that is none of ONNX's.
    """
    import onnx

    unknown = sorted({node.op_type for node in graph.graph.node if not onnx.defs.has(node.op_type, node.domain)})
    if unknown:
        raise ModelError(
            f"the model cannot be written as ONNX: ONNX has no operation for TensorFlow's {', '.join(unknown)}"
        )


def _name(graph: Any, info: ModelInfo) -> None:
    """Gives the input, output and batch dimension names that a person can guess, and adds the metadata."""
    renamed = {graph.graph.input[0].name: INPUT_NAME, graph.graph.output[0].name: OUTPUT_NAME}
    for value in (graph.graph.input[0], graph.graph.output[0]):
        value.name = renamed[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = BATCH_NAME
    for node in graph.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    graph.graph.name = "tinysight"
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, to_json(info)


def largest_difference(expected: NDArray[np.floating], came: NDArray[np.floating]) -> float:
    """The largest difference of any probability; arrays of shape (n, classes)."""
    return float(np.max(np.abs(expected - came), initial=0.0))
