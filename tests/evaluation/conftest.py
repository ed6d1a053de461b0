from __future__ import annotations

from typing import Any

import pytest
from common_folder import common_folder
from filelock import FileLock
from quadrants import quadrant_data

from tinysight.recipe import Recipe, make_recipe
from tinysight.runs import Run

QUADRANT_RECIPE: dict[str, Any] = {
    "name": "quadrants", "layers": ("conv 8", "pool", "conv 16", "pool", "flatten"), "epochs": 5, "batch_size": 20,
    "learning_rate": 0.01, "validation": "stratified", "validation_split": 0.2,
}  # fmt: skip


@pytest.fixture(scope="session")
def quadrant_recipe() -> Recipe:
    return make_recipe(QUADRANT_RECIPE)


@pytest.fixture(scope="session")
def quadrant_run(keras_module: Any, quadrant_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A real run on images whose evidence has a known place. Tests must not change it: they copy it."""
    from tinysight.verbs.train import Settings, train

    common = common_folder(tmp_path_factory)
    run = Run(common / "quadrants")
    with FileLock(common / "quadrants.lock"):
        if not run.is_finished:
            train(quadrant_recipe, quadrant_data(), out=run.folder, settings=Settings(quiet=True, report=False))
    return run


@pytest.fixture(scope="session")
def quadrant_model(quadrant_run: Run) -> Any:
    from tinysight.models.saving import load_keras_file

    return load_keras_file(quadrant_run.keras_model)
