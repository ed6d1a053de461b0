"""A run folder for mnist-5k without training and without TensorFlow: least squares from pixels to digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinysight.data import catalog
from tinysight.evaluation.predictions import Predictions, write_predictions
from tinysight.files import write_json, write_text
from tinysight.images import DataSet
from tinysight.runs import Run
from tinysight.serving.model_info import METADATA_KEY, ModelInfo, to_json
from tinysight.serving.predictor import Predictor


def make_digit_run(folder: Path) -> Run:
    """What serving and the web page read of a run; its net gets about four digits of five right."""
    data = catalog.load("mnist-5k")
    run = Run(folder)
    folder.mkdir(parents=True)
    info = ModelInfo(
        class_names=data.class_names,
        image_shape=data.image_shape,
        recipe="least-squares",
        created="2026-01-02T03:04:05+00:00",
        version="0.1.0",
        extra={"parameters": 7850, "test_accuracy": 0.8},
    )
    write_linear_model(run.onnx_model, info, *_fit(data))
    write_text(run.recipe, 'name = "least-squares"\n')
    write_json(
        run.data, {"name": data.name, "image_shape": list(data.image_shape), "class_names": list(data.class_names)}
    )
    probabilities = Predictor(run.onnx_model).predict(np.asarray(data.test.images))
    write_predictions(run.predictions, {"test": Predictions(probabilities=probabilities, labels=data.test.labels)})
    run.finish({"test_accuracy": float(np.mean(probabilities.argmax(axis=1) == data.test.labels))})
    return run


def _fit(data: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias by ridge regression on raw pixels, made steeper so that probabilities spread."""
    pixels = data.train.images.reshape(len(data.train.images), -1).astype(np.float64)
    inputs = np.hstack([pixels / 255, np.ones((len(pixels), 1))])
    targets = np.eye(data.train.num_classes)[data.train.labels]
    solution = 8 * np.linalg.solve(inputs.T @ inputs + 30 * np.eye(inputs.shape[1]), inputs.T @ targets)
    return (solution[:-1] / 255).astype(np.float32), solution[-1].astype(np.float32)


def write_linear_model(path: Path, info: ModelInfo, weights: np.ndarray, bias: np.ndarray) -> Path:
    """uint8 pixels -> Cast -> Flatten -> Gemm -> Softmax; `weights` is float32 of shape (pixels, classes)."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", *info.image_shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", info.num_classes])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: to_json(info)})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
