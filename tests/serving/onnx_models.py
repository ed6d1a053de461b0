"""A small real ONNX model for tests: uint8 pixels -> Cast -> Flatten -> MatMul -> Softmax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinysight.serving.model_info import METADATA_KEY, ModelInfo, to_json

IMAGE_SHAPE = (8, 8, 3)
CLASS_NAMES = ("cat", "dog", "fish", "zebra crossing")


def make_info(**changes: Any) -> ModelInfo:
    values: dict[str, Any] = {
        "class_names": CLASS_NAMES,
        "image_shape": IMAGE_SHAPE,
        "recipe": "toy",
        "created": "2026-01-02T03:04:05+00:00",
        "version": "0.1.0",
    }
    return ModelInfo(**(values | changes))


def make_weights(info: ModelInfo) -> np.ndarray:
    """float32, shape (pixels, classes), the same in every run."""
    generator = np.random.default_rng(5)
    return generator.normal(0, 0.002, (int(np.prod(info.image_shape)), info.num_classes)).astype(np.float32)


def softmax_of(images: np.ndarray, info: ModelInfo) -> np.ndarray:
    """What the model must give, by NumPy alone: float64, shape (n, classes)."""
    scores = images.reshape(len(images), int(np.prod(info.image_shape))).astype(np.float64) @ make_weights(info)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def write_model(
    path: Path,
    info: ModelInfo | None = None,
    *,
    metadata: dict[str, str] | None = None,
    input_type: int = TensorProto.UINT8,
    input_shape: tuple[Any, ...] | None = None,
    num_outputs: int = 1,
) -> Path:
    """Writes the model; the keyword arguments make it wrong in one way each."""
    info = info or make_info()
    shape = input_shape if input_shape is not None else ("batch", *info.image_shape)
    weights = numpy_helper.from_array(make_weights(info), "weights")
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        helper.make_node("Identity", ["probabilities"], ["again"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", info.num_classes])
        for name in ("probabilities", "again")[:num_outputs]
    ]
    pixels = helper.make_tensor_value_info("pixels", input_type, list(shape))
    graph = helper.make_graph(nodes, "toy", [pixels], outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: to_json(info)} if metadata is None else metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
