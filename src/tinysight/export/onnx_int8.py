"""An ONNX file with int8 weights and activations: static quantization by ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.export.onnx import INPUT_NAME, quiet, write_onnx
from tinysight.files import atomic_path
from tinysight.onnx_runtime import load_onnxruntime
from tinysight.serving.model_info import METADATA_KEY, ModelInfo, to_json

# Where the arithmetic is, and what lies between. Scaling and softmax stay float, so that pixels go in raw and
# probabilities are not rounded to 1/256.
QUANTIZED = ["Conv", "Gemm", "MatMul", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Transpose", "Reshape"]
CALIBRATION_BATCH = 64


def write_onnx_int8(model: Any, path: Path, info: ModelInfo, calibration: NDArray[np.uint8]) -> None:
    """Writes a serving model as ONNX in QDQ form: uint8 activations, int8 weights with a scale for each channel.

    Weights use 7 of their 8 bits: processors without VNNI add pairs of products in 16 bits, which overflows with 8. The
    check on this machine then holds on others too. Source:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.

    Args:
        model: a Keras model, uint8 pixels (n, height, width, channels) to float32 probabilities.
        path: where the file goes, whole or not at all.
        info: what travels with it.
        calibration: uint8 training images (n, height, width, channels) that show the range of every activation.

    Raises:
        ModelError: when the model has an operation that ONNX cannot express.
    """
    import onnx

    with tempfile.TemporaryDirectory(prefix="tinysight-") as folder:
        plain, quantized = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        write_onnx(model, plain, info)
        with quiet():
            _quantize(plain, quantized, calibration)
        graph = onnx.load(quantized)
    _tidy(graph, info)
    with atomic_path(path) as temporary:
        onnx.save(graph, temporary)


def _quantize(source: Path, target: Path, calibration: NDArray[np.uint8]) -> None:
    load_onnxruntime()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            starts = range(0, len(calibration), CALIBRATION_BATCH)
            self.batches = iter([calibration[start : start + CALIBRATION_BATCH] for start in starts])

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT_NAME: np.ascontiguousarray(batch)}

    folded = source.with_name("folded.onnx")
    # Folds batch normalisation into the convolution before it, so that there is one rounding and not two.
    quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
    quantize_static(
        str(folded),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=QUANTIZED,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _tidy(graph: Any, info: ModelInfo) -> None:
    """Keeps the record alone as metadata, and the operator sets that a node uses."""
    used = {node.domain for node in graph.graph.node} | {""}
    kept = [entry for entry in graph.opset_import if entry.domain in used]
    del graph.opset_import[:]
    graph.opset_import.extend(kept)
    del graph.metadata_props[:]
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, to_json(info)
