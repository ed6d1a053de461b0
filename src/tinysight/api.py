"""The verbs from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysight.errors import InvalidValueError
from tinysight.runs import Run, open_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinysight.images import DataSet
    from tinysight.verbs.evaluate import Evaluation


class TrainedRun(Run):
    """A finished run with the verbs as methods.

    Attributes:
        folder: where its files lie.
    """

    @property
    def summary(self) -> dict[str, Any]:
        """What `tinysight train --json` printed: test_accuracy, parameters, seconds and the like."""
        from tinysight.runs import read_summary

        return read_summary(self)

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name a class, in the order of the probabilities."""
        from tinysight.files import read_json

        return tuple(read_json(self.data)["class_names"])

    def evaluate(
        self,
        data: str | Path | DataSet | None = None,
        *,
        data_dir: str | Path | None = None,
        split: str = "test",
    ) -> Evaluation:
        """Scores on held-out images, each counted once; see `tinysight.verbs.evaluate`.

        Args:
            data: another data set whose classes the model knows: by name, by path or as it is; None for its own.
            data_dir: where extracted archives lie.
            split: "test" or "train".

        Returns:
            As `tinysight.verbs.evaluate.evaluate`.

        Raises:
            InvalidValueError: for another split.
            DataError: when the data cannot be had, or does not fit the model.
        """
        from tinysight.verbs.evaluate import evaluate

        return evaluate(self.folder, data=data, data_dir=data_dir, split=split)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of every class.

        Args:
            images: uint8 raw pixels 0..255: one image (height, width[, channels]) or a batch (n, height, width[,
                channels]) of any size, brought to the model's shape by the rule in docs/images.md.

        Returns:
            float32, shape (n, classes), in the order of `class_names`; n is 1 for one image.

        Raises:
            ImageError, InvalidValueError: for arrays that are no raw pixels.
        """
        from tinysight.evaluation.forward import predictor_of
        from tinysight.files import read_json
        from tinysight.pixels import array_to_input

        return predictor_of(self)(array_to_input(images, tuple(read_json(self.data)["image_shape"])))

    def load_keras(self) -> Any:
        """The Keras model, loaded without running code from the file.

        Returns:
            From raw pixels, uint8 (n, height, width, channels), to probabilities, float32 (n, classes).

        Raises:
            ModelError: when the file is damaged, or holds classes that are not known here.
        """
        from tinysight.training.backend import choose_backend

        choose_backend()
        from tinysight.models.saving import load_keras_file

        return load_keras_file(self.keras_model)


def train(
    recipe: str | None = None,
    *,
    data: str | os.PathLike[str] | DataSet | None = None,
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    quiet: bool = False,
    save_json: bool = False,
    report: bool = True,
    callbacks: Sequence[Any] = (),
    start: str | Path | None = None,
    **fields: Any,
) -> TrainedRun:
    """Trains a recipe, evaluates it on held-out images and saves it: `tinysight train` from Python.

    Args:
        recipe: name of a shipped recipe or path of a .toml file; None for the default one.
        data: name of a data set, path of your own images (text or `Path`), or a `DataSet`; None for the recipe's.
        data_dir: where extracted archives lie; None for TINYSIGHT_DATA, else the cache.
        out: the run folder, new or empty; None for a new one under `runs/`.
        device: "auto", "cpu", "gpu" or "gpu:N".
        quiet: whether to print no progress on standard error.
        save_json: whether to save architecture JSON and weights HDF5 too.
        report: whether to write the report page too.
        callbacks: Keras callbacks of your own; their `model` is the one that is trained, from raw pixels on, and its
            attribute `net` the net.
        start: a finished run whose weights the training begins with, as `--from`; without `recipe` its recipe is used.
        **fields: any field of the recipe, as in `epochs=1`.

    Returns:
        The finished run; its `summary` has the figures.

    Raises:
        InvalidValueError: for data of another type, and for fields out of range.
        TinysightError: for what a person can mend: an unknown name, data that cannot be had, a loss that is not finite.
    """
    import sys

    from tinysight.data.source import choose_data
    from tinysight.images import DataSet
    from tinysight.recipe import DEFAULT_RECIPE, load_recipe
    from tinysight.verbs import train as verb

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr)

    named = _named_data(data)
    if start is not None and recipe is None:
        loaded = verb.recipe_of_start(start, {**named, **fields})
    else:
        loaded = load_recipe(recipe or DEFAULT_RECIPE, **named, **fields)
    anything = recipe is None and data is None and start is None
    chosen = data if isinstance(data, DataSet) else choose_data(loaded, data_dir, anything=anything, say=say)
    settings = verb.Settings(quiet=quiet, save_json=save_json, report=report, callbacks=callbacks, start=start, say=say)
    summary = verb.train(loaded, chosen, out=out, data_dir=data_dir, device=device, settings=settings)
    return TrainedRun(summary["run"])


def _named_data(data: Any) -> dict[str, str]:
    """The recipe's field `data` where data were named; nothing for a `DataSet` or None."""
    from tinysight.images import DataSet

    if data is None or isinstance(data, DataSet):
        return {}
    if isinstance(data, str | os.PathLike):
        return {"data": os.fsdecode(data)}
    raise InvalidValueError(
        f"data is of type {type(data).__name__}; expected the name of a data set, the path of your own images,"
        " a tinysight.DataSet or None"
    )


def resume(
    path: str | Path,
    *,
    data: DataSet | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> TrainedRun:
    """Goes on with a training that was interrupted or killed: `tinysight train --resume` from Python.

    Args:
        path: the run folder.
        data: what it was trained on, where that was a `DataSet` of your own; None to load it again.
        data_dir: where extracted archives lie; None for where they lay when the training began.
        device: "auto", "cpu", "gpu" or "gpu:N".
        quiet: whether to print no progress on standard error.

    Returns:
        The finished run, bit for bit that of a training that was never interrupted.

    Raises:
        TinysightError: when there is nothing to go on with, or the data are not those of the run.
    """
    import sys

    from tinysight.verbs import train as verb

    settings = verb.Settings(quiet=quiet, say=lambda text: None if quiet else print(text, file=sys.stderr))
    return TrainedRun(verb.resume(path, data=data, data_dir=data_dir, device=device, settings=settings)["run"])


def load(path: str | Path) -> TrainedRun:
    """The finished run in a folder.

    Raises:
        RunError: when there is no run, or it did not finish.
    """
    return TrainedRun(open_run(path).folder)


def load_model(path: str | Path) -> Any:
    """A Keras model from a run folder, a `.keras` file, or `architecture.json` with its weights beside it.

    Raises:
        ModelError: when it is missing or damaged, or could only be loaded by running code that came with it.
    """
    from tinysight.training.backend import choose_backend

    choose_backend()
    from tinysight.models.saving import load_model as load_keras_model

    return load_keras_model(path)
