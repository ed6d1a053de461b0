"""Every word that a recipe may hold trains, saves, loads and becomes ONNX; the words come from the recipe's types."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from small_data import small_data

from tinysight import recipe as words
from tinysight.recipe import make_recipe

CHOICES: dict[str, tuple[str, ...]] = {
    "activation": get_args(words.Activation),
    "pooling": get_args(words.Pooling),
    "padding": get_args(words.Padding),
    "optimizer": get_args(words.Optimizer),
    "schedule": get_args(words.Schedule),
    "scaling": get_args(words.Scaling),
    "loss": get_args(words.Loss),
    "flip": get_args(words.Flip),
}
# Each word of each field at least once, several fields at a time.
CASES = [
    {field: choices[number % len(choices)] for field, choices in CHOICES.items()}
    for number in range(max(map(len, CHOICES.values())))
]
EXTRAS: list[dict[str, Any]] = [
    {"translate": 2, "cutout": 3},
    {"flip_predictions": True},
    {"strides": 2, "kernel_size": 5, "padding": "same"},
    {"maxout_pieces": 3, "activation": "maxout"},
]


def test_every_word_is_in_a_case() -> None:
    for field, choices in CHOICES.items():
        assert {case[field] for case in CASES} == set(choices)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: "-".join(CASES[number].values()))
def test_trains_saves_loads_and_exports(number: int, keras_module: Any, tmp_path: Path) -> None:
    from tinysight.export.onnx import TOLERANCE, write_onnx
    from tinysight.models.registry import build_net
    from tinysight.models.saving import load_model, save_keras_file
    from tinysight.models.serving import serving_model
    from tinysight.serving.model_info import ModelInfo
    from tinysight.serving.predictor import Predictor
    from tinysight.training.fit import fit

    case = {**CASES[number], **EXTRAS[number % len(EXTRAS)]}
    if case["schedule"] == "recorded":
        case |= {"schedule_steps": [0, 2], "schedule_rates": [0.001, 0.0005]}
    recipe = make_recipe({"layers": ["conv 4", "pool", "dropout 0.2", "dense 6"], "batch_size": 8, "epochs": 1, **case})
    data = small_data()
    net = build_net(recipe, data.image_shape, 4)
    before = net.get_weights()
    result = fit(recipe, net, data.train, data.test, history_path=tmp_path / "h.csv", quiet=True)
    assert np.isfinite(result.history[0]["val_loss"])
    assert any(not np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))

    model = serving_model(net, recipe.scaling, data.image_shape, flip_predictions=recipe.flip_predictions)
    expected = model.predict(data.test.images, verbose=0)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    loaded = load_model(save_keras_file(model, tmp_path / "model.keras"))
    np.testing.assert_allclose(loaded.predict(data.test.images, verbose=0), expected, atol=1e-6)

    info = ModelInfo(
        class_names=data.class_names, image_shape=data.image_shape, recipe="a", created="b", version="c", extra={}
    )
    predictor = Predictor(write_onnx(model, tmp_path / "model.onnx", info))
    for count in (1, 20):
        came = predictor.predict(data.test.images[:count])
        np.testing.assert_allclose(came, expected[:count], atol=TOLERANCE)
    assert TOLERANCE <= 1e-4
