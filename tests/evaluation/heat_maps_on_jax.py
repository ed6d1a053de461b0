"""Run with KERAS_BACKEND=jax: writes heat maps of a model; MODEL IMAGES OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tinysight.training.backend import choose_backend

if __name__ == "__main__":
    assert choose_backend("cpu") == "jax"
    from tinysight.evaluation.explain import heat_maps
    from tinysight.models.saving import load_keras_file

    model, images, out = map(Path, sys.argv[1:])
    np.save(out, heat_maps(load_keras_file(model), np.load(images)).maps)
