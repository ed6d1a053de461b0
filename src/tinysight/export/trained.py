"""The ONNX file that every training writes, checked against Keras before anything is evaluated with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tinysight.images import DataSet
from tinysight.memory import give_back_freed
from tinysight.recipe import Recipe
from tinysight.runs import Run

# All views of an image lie in memory at once: of a wide net six times 16 images are 0.1 GB.
KERAS_BATCH = 16


def onnx_or_keras(
    run: Run, recipe: Recipe, data: DataSet, model: Any, say: Callable[[str], None]
) -> Callable[[Any], Any]:
    """A function from raw pixels to probabilities: the ONNX file's, checked against Keras; Keras's own without one.

    Args:
        run: where the file is written.
        model: raw pixels to probabilities; see `tinysight.models.serving`.
        say: takes a line when a layer of the model has no counterpart in ONNX.

    Raises:
        ModelError: when the file gives other probabilities than Keras on the first test images.
    """
    import importlib.metadata

    import numpy as np

    from tinysight.errors import ModelError
    from tinysight.export.onnx import TOLERANCE, largest_difference, write_onnx
    from tinysight.serving.model_info import ModelInfo
    from tinysight.serving.predictor import Predictor

    def with_keras(images: Any) -> Any:
        return np.asarray(model.predict(images, batch_size=KERAS_BATCH, verbose=0), np.float32)

    info = ModelInfo(
        class_names=data.class_names,
        image_shape=data.image_shape,
        recipe=recipe.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=importlib.metadata.version("tinysight"),
        num_views=recipe.num_views,
        extra={"data": data.name, "parameters": int(model.count_params())},
    )
    try:
        write_onnx(model, run.onnx_model, info)
    except ModelError as error:
        say(f"{error}; predictions of this run need Keras")
        return with_keras
    # The conversion leaves many times the weights.
    give_back_freed()
    predictor = Predictor(run.onnx_model)
    checked = data.test.images[:256]
    difference = largest_difference(with_keras(checked), predictor.predict(checked))
    if not difference <= TOLERANCE:
        run.onnx_model.unlink()
        raise ModelError(
            f"the ONNX file differs from Keras by {difference:.2g} in a probability; expected at most {TOLERANCE:g}"
        )
    return predictor.predict
