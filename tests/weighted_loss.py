"""The loss of a training step and of validation with class weights, on whatever backend Keras has."""

from __future__ import annotations

import numpy as np

COUNTS = (8, 4, 2, 2)


def weighted_losses() -> dict[str, dict[str, float]]:
    """Loss on one image of each class, by the coding of labels; the net gives each class the same probability."""
    import keras

    from tinysight.recipe import make_recipe
    from tinysight.training.balance import balanced_weights
    from tinysight.training.fit import compile_trainee

    found = {}
    for loss in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        recipe = make_recipe({"loss": loss, "class_weights": "balanced", "optimizer": "sgd", "learning_rate": 1e-30})
        layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4, kernel_initializer="zeros")]
        trainee = compile_trainee(recipe, keras.Sequential(layers), 1, class_weights=balanced_weights(np.array(COUNTS)))
        images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.arange(4, dtype=np.int32)
        batch = (images, np.eye(4, dtype=np.float32) if loss.startswith("categorical") else labels)
        found[loss] = {
            "validation": float(trainee.test_on_batch(*batch, return_dict=True)["loss"]),
            "training": float(trainee.train_on_batch(*batch, return_dict=True)["loss"]),
        }
    return found
