"""The layers of a model, however models are nested in it."""

from __future__ import annotations

import keras


def leaf_layers(model: keras.Layer) -> list[keras.Layer]:
    """Every layer of a model that is no model itself, each once, nested ones too."""
    found: dict[int, keras.Layer] = {}
    for layer in model.layers:
        inner = leaf_layers(layer) if isinstance(layer, keras.Model) and layer.layers else [layer]
        found |= {id(leaf): leaf for leaf in inner}
    return list(found.values())
