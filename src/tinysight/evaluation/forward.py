"""From a finished run to a function that classifies raw pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import RunError
from tinysight.recipe import load_recipe
from tinysight.runs import Run

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def predictor_of(run: Run) -> Predict:
    """uint8 images (n, height, width, channels) to float32 probabilities (n, classes).

    ONNX Runtime where the run has an ONNX file; Keras where the model could not be written as one.

    Raises:
        RunError: when the run holds no model.
        ModelError: when its model cannot be loaded.
    """
    if run.onnx_model.is_file():
        from tinysight.serving.predictor import Predictor

        return Predictor(run.onnx_model).predict
    if not run.keras_model.is_file():
        raise RunError(f"the run '{run.folder}' holds neither {run.onnx_model.name} nor {run.keras_model.name}")
    from tinysight.training.backend import choose_backend

    choose_backend()
    from tinysight.models.saving import load_keras_file

    model, batch_size = load_keras_file(run.keras_model), 500 // load_recipe(str(run.recipe)).num_views

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(model.predict(images, batch_size=batch_size, verbose=0), np.float32)

    return predict
