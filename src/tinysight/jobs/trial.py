"""One trial of a search: a net that is trained and scored on validation images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.images import ImageSet
from tinysight.recipe import Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialData:
    """What every trial of a search learns from and is scored on; as of `tinysight.training.fit.fit`."""

    train: ImageSet
    validation: ImageSet | None
    rows: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trial came to.

    Attributes:
        accuracy: of the validation images, with the weights that the recipe keeps.
        seconds: of training.
        num_parameters: that the net holds.
        history: a row an epoch.
    """

    accuracy: float
    seconds: float
    num_parameters: int
    history: list[dict[str, float]]


def train_trial(recipe: Recipe, data: TrialData, *, history_path: Path, callbacks: Sequence[Any] = ()) -> Outcome:
    """Trains a trial as in a process of its own.

    Raises:
        TinysightError: when the recipe's values do not go together, or the training goes wrong.
        KeyboardInterrupt: at Ctrl-C.
    """
    import keras

    from tinysight.models.registry import build_training_net
    from tinysight.training.augment import check_augmentation, resolve_flip
    from tinysight.training.fit import fit

    recipe = resolve_flip(recipe, data.train.class_names)
    check_augmentation(recipe, data.train.image_shape)
    # The nets of earlier trials go, and this one is named and drawn as in a process of its own.
    keras.backend.clear_session()
    keras.utils.set_random_seed(recipe.seed)
    net = build_training_net(recipe, data.train.image_shape, data.train.num_classes)
    result = fit(
        recipe,
        net,
        data.train,
        data.validation,
        rows=data.rows,
        history_path=history_path,
        quiet=True,
        callbacks=callbacks,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    return Outcome(
        accuracy=float(result.history[result.epoch_kept - 1][f"val_{recipe.metric}"]),
        seconds=result.seconds,
        num_parameters=net.count_params(),
        history=result.history,
    )
