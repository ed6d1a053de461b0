"""Small-image classifiers on Keras 3: learn, train fast, trust the figures, ship.

>>> import tinysight
>>> run = tinysight.train("mnist-cnn", data="mnist-5k", epochs=1)  # doctest: +SKIP
>>> run.evaluate().summary.accuracy.value  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinysight.api import TrainedRun, load, load_model, resume, train
    from tinysight.errors import TinysightError
    from tinysight.images import DataSet, ImageSet
    from tinysight.recipe import Recipe, load_recipe

__all__ = [
    "DataSet",
    "ImageSet",
    "Recipe",
    "TinysightError",
    "TrainedRun",
    "load",
    "load_model",
    "load_recipe",
    "resume",
    "train",
]

# Imported on first use, so that `import tinysight` costs nothing and Keras's backend can still be chosen.
_HOMES = {
    "DataSet": "tinysight.images",
    "ImageSet": "tinysight.images",
    "Recipe": "tinysight.recipe",
    "TinysightError": "tinysight.errors",
    "TrainedRun": "tinysight.api",
    "load": "tinysight.api",
    "load_model": "tinysight.api",
    "load_recipe": "tinysight.recipe",
    "resume": "tinysight.api",
    "train": "tinysight.api",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tinysight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
