"""Who looks on while a net trains: a person's own Keras callbacks, TensorBoard's event files, the live page."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinysight.data.validation import TrainingSplit
from tinysight.errors import InvalidValueError
from tinysight.jobs.settings import Settings
from tinysight.recipe import Recipe
from tinysight.runs import Run


@contextlib.contextmanager
def watched(run: Run, recipe: Recipe, split: TrainingSplit, settings: Settings) -> Iterator[Settings]:
    """The settings with the callbacks of everybody who looks on; within it the net trains, is evaluated and saved."""
    with contextlib.ExitStack() as stack:
        callbacks = list(settings.callbacks)
        if settings.tensorboard is not None:
            callbacks.append(_tensorboard(run, recipe, split, settings.tensorboard))
        if settings.live is not None:
            callbacks.append(stack.enter_context(settings.live.follow(run, recipe, split)))
        yield replace(settings, callbacks=callbacks)


def _tensorboard(run: Run, recipe: Recipe, split: TrainingSplit, folder: str | Path) -> Any:
    from tinysight.training.tensorboard import TensorBoardWriter

    steps = -(-split.num_train // min(recipe.batch_size, split.num_train))
    return TensorBoardWriter(Path(folder) / run.name if folder else run.tensorboard, steps_per_epoch=steps)


def check_tensorboard() -> None:
    """TensorBoard's package writes its files; it is an extra.

    Raises:
        InvalidValueError: when it is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise InvalidValueError(
            "--tensorboard needs the package tensorboard, which is not installed: pip install 'tinysight[tensorboard]'"
        )
