"""A Keras model as TensorFlow's SavedModel, a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError
from tinysight.export.embedded import MEMBER
from tinysight.export.onnx import first_reason, quiet
from tinysight.files import write_text
from tinysight.serving.model_info import ModelInfo, to_json

# SavedModel's own place for files of other tools. Source: https://www.tensorflow.org/guide/saved_model.
EXTRA = "assets.extra"
# Operations that call Python: they work only inside the process that made the graph.
PYTHON_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def write_saved_model(model: Any, path: Path, info: ModelInfo) -> None:
    """Writes a serving model as a SavedModel with the endpoint `serve` and the record in `assets.extra`.

    Args:
        model: a Keras model on TensorFlow, uint8 pixels (n, height, width, channels) to float32 probabilities.
        path: the folder, which does not exist yet.
        info: what travels with it.

    Raises:
        ModelError: when the model calls Python code while it runs.
    """
    convert_saved_model(model, path)
    write_text(path / EXTRA / MEMBER, to_json(info) + "\n")


def convert_saved_model(model: Any, path: Path) -> None:
    """The conversion alone, of any model."""
    import tensorflow as tf

    try:
        with quiet():
            model.export(path, format="tf_saved_model", verbose=False)
            loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise ModelError(f"the model cannot be written as SavedModel: {first_reason(error)}") from error
    calls = sorted(_operations(loaded) & PYTHON_OPERATIONS)
    if calls:
        raise ModelError(
            f"the model cannot be written as SavedModel: it calls Python code while it runs ({', '.join(calls)})"
        )


def _operations(loaded: Any) -> set[str]:
    graphs = [function.graph.as_graph_def() for function in loaded.signatures.values()]
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for graph in graphs for function in graph.library.function for node in function.node_def]
    return {node.op for node in nodes}


def predict_saved_model(path: Path, images: NDArray[np.uint8], batch_size: int) -> NDArray[np.float32]:
    """Probabilities that the folder gives: uint8 (n, height, width, channels) to float32 (n, classes)."""
    import tensorflow as tf

    with quiet():
        loaded = tf.saved_model.load(str(path))  # Held until the end: it owns the variables.
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    return np.concatenate([loaded.serve(batch).numpy() for batch in batches])
