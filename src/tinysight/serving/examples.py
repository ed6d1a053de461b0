"""A few test pictures of each class, with what the run itself said of them, for the page."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import TinysightError
from tinysight.files import read_json
from tinysight.images import DataSet, ImageSet
from tinysight.runs import Run

PER_CLASS = 8
# Of all pictures together, however many classes there are and however large they are.
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One test picture.

    Attributes:
        pixels: uint8, shape (height, width, channels).
        predicted: the class that the run gave it.
        score: the probability of that class.
        is_right: whether it is the true class.
    """

    pixels: NDArray[np.uint8]
    predicted: str
    score: float
    is_right: bool


class Examples:
    """The examples of a run, read in the background: a service must not wait for a data set before it answers.

    Args:
        run: a run folder.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._by_class: dict[int, list[Example]] = {}
        self._reader = threading.Thread(target=self._read, name="examples", daemon=True)

    def start(self) -> None:
        self._reader.start()

    def of(self, class_index: int) -> list[Example]:
        """Those of one class: none until they are read, and none where the run's data is not at hand."""
        return self._by_class.get(class_index, [])

    def _read(self) -> None:
        self._by_class = read_examples(self._run)


def read_examples(run: Run) -> dict[int, list[Example]]:
    """The examples of every class, from the one that the run was surest of to the one it was least sure of.

    Nothing is downloaded: a run whose data is gone, changed or elsewhere has no examples.

    Args:
        run: a finished run with its predictions.

    Returns:
        Class index -> examples; empty when the run has none.
    """
    test = _test_images(run)
    if test is None or not run.predictions.is_file():
        return {}
    from tinysight.evaluation.predictions import read_predictions

    predictions = read_predictions(run.predictions).get("test")
    if predictions is None or not np.array_equal(predictions.labels, test.labels):
        return {}
    return choose_examples(test, predictions.probabilities)


def choose_examples(test: ImageSet, probabilities: NDArray[np.float32]) -> dict[int, list[Example]]:
    """Of each class, pictures at even distances in the order of its own probability, highest first.

    Args:
        test: the test split.
        probabilities: float32, shape (n, classes), in the order of `test`.
    """
    bytes_of_one = len(test.class_names) * int(np.prod(test.image_shape))
    per_class = int(np.clip(_MAX_BYTES // bytes_of_one, 1, PER_CLASS))
    chosen = {index: _spread(test.labels, probabilities, index, per_class) for index in range(len(test.class_names))}
    return {index: [_example(test, probabilities, number) for number in numbers] for index, numbers in chosen.items()}


def _spread(
    labels: NDArray[np.int32], probabilities: NDArray[np.float32], index: int, per_class: int
) -> NDArray[np.intp]:
    """Positions in the test split."""
    (members,) = np.nonzero(labels == index)
    ordered = members[np.argsort(-probabilities[members, index], kind="stable")]
    if len(ordered) <= per_class:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, per_class).round().astype(np.intp)]


def _example(test: ImageSet, probabilities: NDArray[np.float32], number: int) -> Example:
    predicted = int(probabilities[number].argmax())
    return Example(
        pixels=np.array(test.images[number]),
        predicted=test.class_names[predicted],
        score=float(probabilities[number, predicted]),
        is_right=predicted == int(test.labels[number]),
    )


def _test_images(run: Run) -> ImageSet | None:
    if not run.data.is_file():
        return None
    described = read_json(run.data)
    try:
        data = _load_at_hand(described)
    except TinysightError:
        # The reason is known: the data is not what or where it was. The page does without examples.
        return None
    fits = data is not None and list(data.class_names) == described["class_names"]
    return data.test if data is not None and fits else None


def _load_at_hand(described: Mapping[str, Any]) -> DataSet | None:
    from tinysight.data import catalog
    from tinysight.data.source import load_again

    if described.get("own") is not None:
        return load_again(described, splits=("test",))
    if not catalog.is_available_offline(described["name"], described.get("data_dir")):
        return None
    return catalog.load(described["name"], described.get("data_dir"), download=False)


def png_base64(pixels: NDArray[np.uint8]) -> str:
    """A picture as PNG in base64, for JSON: uint8, shape (height, width, channels) or (height, width)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
