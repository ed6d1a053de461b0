"""The part of an analysis that asks what the net looks at; it needs Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.explain import FeatureMap, feature_maps, first_layer_kernels, heat_maps
from tinysight.evaluation.kernels import KERNELS, apply_all
from tinysight.evaluation.pictures import to_pictures
from tinysight.evaluation.predictions import Predictions
from tinysight.images import ImageSet
from tinysight.metrics.counts import predicted_classes
from tinysight.models.saving import load_keras_file
from tinysight.runs import Run

# Role -> how many images are shown in it.
ROLES = {"sure and right": 6, "sure and wrong": 6, "unsure": 4}
MAX_CHANNELS = 16


def measure_explanations(
    run: Run, test: ImageSet, predictions: Predictions
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Heat maps of chosen test images, every layer's maps of one of them, and kernels learned and fixed.

    Returns:
        The record and arrays "explain" of docs/evaluation.md.
    """
    model = load_keras_file(run.keras_model)
    chosen = choose_images(predictions)
    indices = [index for _, index in chosen]
    images = np.asarray(test.images)[indices]
    predicted = predicted_classes(predictions.probabilities)[indices]
    heat = heat_maps(model, images, predicted)
    # A classic kernel says most on an image that the net understands.
    maps = feature_maps(model, images[0])
    kernels = first_layer_kernels(model)
    arrays: dict[str, NDArray[Any]] = {
        "images": images,
        "heat_maps": heat.maps,
        "feature_image": images[0],
        "classic": np.stack(list(apply_all(images[0]).values())),
        **{f"maps_{number}": to_pictures(found.values[..., :MAX_CHANNELS]) for number, found in enumerate(maps)},
    }
    if kernels is not None:
        arrays["kernels"] = kernels.pictures
    record = {
        "method": heat.method,
        "words": heat.words,
        "layer": heat.layer,
        "map_shape": list(heat.map_shape),
        "images": [_image(role, index, test, predictions) for role, index in chosen],
        "kernels": None if kernels is None else _kernels(kernels.layer, kernels.pictures.shape),
        "feature_maps": [_feature_map(number, found) for number, found in enumerate(maps)],
        "classic": [{"name": name, "words": kernel.words} for name, kernel in KERNELS.items()],
    }
    return record, arrays


def choose_images(predictions: Predictions) -> list[tuple[str, int]]:
    """(role, index) of the images worth showing: the surest right ones of different classes, the surest wrong ones, and
    the least sure ones."""
    top, predicted = predictions.probabilities.max(axis=1), predicted_classes(predictions.probabilities)
    right = predicted == predictions.labels
    surest = np.argsort(-top, kind="stable")
    sure_right = surest[right[surest]]
    _, firsts = np.unique(predicted[sure_right], return_index=True)
    # One of each class by falling score, and where there are few classes, whatever comes next.
    varied = [*sure_right[np.sort(firsts)], *np.delete(sure_right, firsts)]
    roles = {"sure and right": varied, "sure and wrong": surest[~right[surest]], "unsure": surest[::-1]}
    chosen: list[tuple[str, int]] = []
    for role, count in ROLES.items():
        taken = {index for _, index in chosen}
        fresh = [int(index) for index in roles[role] if int(index) not in taken]
        chosen += [(role, index) for index in fresh[:count]]
    return chosen


def _image(role: str, index: int, test: ImageSet, predictions: Predictions) -> dict[str, Any]:
    row, given = predictions.probabilities[index], int(predictions.labels[index])
    predicted = int(row.argmax())
    return {
        "split": "test",
        "index": index,
        "role": role,
        "given": test.class_names[given],
        "given_index": given,
        "predicted": test.class_names[predicted],
        "predicted_index": predicted,
        "score": float(row[predicted]),
    }


def _kernels(layer: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"layer": layer, **dict(zip(("num_filters", "height", "width", "channels"), shape, strict=True))}


def _feature_map(number: int, found: FeatureMap) -> dict[str, Any]:
    height, width, num_channels = found.values.shape
    return {
        "layer": found.layer,
        "kind": found.kind,
        "height": height,
        "width": width,
        "num_channels": num_channels,
        "array": f"maps_{number}",
    }
