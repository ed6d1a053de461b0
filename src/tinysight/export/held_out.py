"""The images that exports are checked on and, apart from these, the ones that int8 is calibrated with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.data.source import load_again
from tinysight.data.validation import read_split
from tinysight.errors import DataError
from tinysight.files import read_json
from tinysight.images import ImageSet
from tinysight.runs import Run

NUM_CALIBRATION = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """A run's own images.

    Attributes:
        data: name of the data set.
        test: the test split, every image of it.
        calibration: uint8 (n, height, width, channels), at most `NUM_CALIBRATION` of the images trained on.
    """

    data: str
    test: ImageSet
    calibration: NDArray[np.uint8]


def load_held_out(run: Run, data_dir: str | Path | None = None) -> HeldOut:
    """Loads the data set that the run was trained on.

    Args:
        run: a finished run.
        data_dir: where extracted archives lie, or the run's own images by now; None for where they lay in training.

    Raises:
        DataUnavailableError: when it cannot be had. Nothing stands in for it: an export that was not checked on
            held-out images is not done.
        DataError: when its classes or image shape are not the model's.
    """
    described = read_json(run.data)
    data = load_again(described, data_dir, ("train", "test"))
    names, shape = tuple(described["class_names"]), tuple(described["image_shape"])
    if data.class_names != names or data.test.image_shape != shape:
        raise DataError(
            f"{data.name} has {len(data.class_names)} classes and images of shape {data.test.image_shape}, and is not"
            f" what the run was trained on ({len(names)} classes, {shape})"
        )
    trained_on, _ = read_split(run.splits)
    count = min(NUM_CALIBRATION, len(trained_on))
    chosen = np.sort(np.random.default_rng(0).choice(trained_on, count, replace=False))
    return HeldOut(data=data.name, test=data.test, calibration=np.asarray(data.train.images[chosen]))
