"""The Keras model of a run, without running code that the person did not name."""

from __future__ import annotations

import warnings
from typing import Any

from tinysight.errors import ModelError
from tinysight.files import read_json
from tinysight.models.own import is_own_model
from tinysight.models.registry import build_net
from tinysight.models.saving import load_keras_file
from tinysight.models.serving import serving_model_of
from tinysight.recipe import load_recipe
from tinysight.runs import Run


def load_for_export(run: Run, own_model: str | None) -> Any:
    """The run's model: from its file, or from the person's own code with the weights of the file.

    Raises:
        ModelError: when the file can only be loaded with code that was not named.
    """
    if own_model is not None:
        return _build_with_own_code(run, own_model)
    recipe = load_recipe(str(run.recipe))
    try:
        return load_keras_file(run.keras_model)
    except ModelError as error:
        if not is_own_model(recipe.model):
            raise
        raise ModelError(f"{error}; to export with code of yours that you trust, add --model {recipe.model}") from None


def _build_with_own_code(run: Run, own_model: str) -> Any:
    recipe, described = load_recipe(str(run.recipe)), read_json(run.data)
    shape = tuple(described["image_shape"])
    net = build_net(recipe.replace(model=own_model), shape, len(described["class_names"]))
    model = serving_model_of(net, recipe, shape)
    try:
        with warnings.catch_warnings():
            # Keras only warns where a layer finds no weights in the file, and leaves it as it was initialized.
            warnings.simplefilter("error", UserWarning)
            model.load_weights(run.keras_model)
    except (ValueError, OSError, UserWarning) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"the weights of '{run.keras_model}' do not fit {own_model}: {reason}") from None
    return model
