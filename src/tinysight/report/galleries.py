"""Which images a page shows: confident mistakes, unsure hits, the images behind each cell of the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.predictions import Predictions
from tinysight.images import ImageSet
from tinysight.metrics.counts import predicted_classes
from tinysight.report.pictures import data_uri

# A gallery opens with so many; the rest, up to so many a class, come up when a class is chosen.
NUM_SHOWN, NUM_PER_CLASS, MAX_IN_GALLERY = 24, 6, 150
# Of each cell of the confusion matrix, and characters of all their pictures together.
NUM_PER_CELL, MAX_CELL_CHARACTERS = 8, 1_600_000


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One test image and what the model said.

    Attributes:
        index: its position in the test split.
        uri: the picture as a data URI.
        true, predicted: class names; `true_index` and `predicted_index` their positions.
        score: of the predicted class, 0..1; `true_score` of the true one.
        is_first: whether it is among those that a gallery opens with.
    """

    index: int
    uri: str
    true: str
    predicted: str
    true_index: int
    predicted_index: int
    score: float
    true_score: float
    is_first: bool = True

    @property
    def is_right(self) -> bool:
        return self.true_index == self.predicted_index


class Shelf:
    """Test images with their predictions, made into pictures one by one."""

    def __init__(self, images: ImageSet, predictions: Predictions) -> None:
        self.images, self.predictions = images, predictions
        self.predicted = predicted_classes(predictions.probabilities)
        self.scores = predictions.probabilities.max(axis=1)
        self.right = self.predicted == predictions.labels

    def picture(self, index: int, *, is_first: bool = True) -> Picture:
        true, said = int(self.predictions.labels[index]), int(self.predicted[index])
        names = self.images.class_names
        return Picture(
            index=int(index),
            uri=data_uri(np.asarray(self.images.images[index])),
            true=names[true],
            predicted=names[said],
            true_index=true,
            predicted_index=said,
            score=float(self.scores[index]),
            true_score=float(self.predictions.probabilities[index, true]),
            is_first=is_first,
        )


def confident_mistakes(shelf: Shelf) -> tuple[Picture, ...]:
    """The wrong answers with the highest scores, of all classes and of each."""
    wrong = np.flatnonzero(~shelf.right)
    return _gallery(shelf, wrong[np.argsort(-shelf.scores[wrong], kind="stable")])


def unsure_hits(shelf: Shelf) -> tuple[Picture, ...]:
    """The right answers with the lowest scores, of all classes and of each."""
    right = np.flatnonzero(shelf.right)
    return _gallery(shelf, right[np.argsort(shelf.scores[right], kind="stable")])


def _gallery(shelf: Shelf, order: NDArray[np.int64]) -> tuple[Picture, ...]:
    first = set(order[:NUM_SHOWN].tolist())
    taken = dict.fromkeys(first)
    labels = shelf.predictions.labels
    for label in range(len(shelf.images.class_names)):
        taken |= dict.fromkeys(order[labels[order] == label][:NUM_PER_CLASS].tolist())
    chosen = [int(index) for index in order if int(index) in taken][:MAX_IN_GALLERY]
    return tuple(shelf.picture(index, is_first=index in first) for index in chosen)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the confusion matrix.

    Attributes:
        true, predicted: class indices.
        count: how many images; `share` of those of the true class.
        level: 0 (empty) to 9 (as many as the fullest cell of its kind), how darkly it is shaded.
        has_pictures: whether it can be opened.
    """

    true: int
    predicted: int
    count: int
    share: float
    level: int
    has_pictures: bool

    @property
    def is_right(self) -> bool:
        return self.true == self.predicted


def cells(matrix: NDArray[np.int64], classes: Sequence[int], pictured: set[str]) -> tuple[tuple[Cell, ...], ...]:
    """The rows of the matrix over some of the classes; right and wrong cells are shaded on scales of their own."""
    diagonal = np.eye(len(matrix), dtype=bool)
    highest = {True: int(matrix[diagonal].max()) or 1, False: int(matrix[~diagonal].max()) or 1}
    support = np.maximum(matrix.sum(axis=1), 1)

    def cell(true: int, predicted: int) -> Cell:
        count = int(matrix[true, predicted])
        level = -(-9 * count // highest[true == predicted])
        share = count / int(support[true])
        key = cell_key(true, predicted)
        return Cell(true=true, predicted=predicted, count=count, share=share, level=level, has_pictures=key in pictured)

    return tuple(tuple(cell(true, predicted) for predicted in classes) for true in classes)


def cell_key(true: int, predicted: int) -> str:
    return f"{true},{predicted}"


def cell_pictures(shelf: Shelf, matrix: NDArray[np.int64], classes: Sequence[int]) -> dict[str, list[Picture]]:
    """For each cell its first images, those with the surest mistakes and the least sure hits first.

    The fullest cells come first, and where the pictures of all would make the page too large, the others get fewer.
    """
    chosen = {key: order[:NUM_PER_CELL] for key, order in _by_cell(shelf, matrix, set(classes))}
    # By rounds: the first image of every cell, then the second one, until the room is used up.
    found: dict[str, list[Picture]] = {key: [] for key in chosen}
    room = MAX_CELL_CHARACTERS
    for place in range(NUM_PER_CELL):
        for key, order in chosen.items():
            if place < len(order) and room > 0:
                picture = shelf.picture(int(order[place]))
                room -= len(picture.uri)
                found[key].append(picture)
    return {key: pictures for key, pictures in found.items() if pictures}


def _by_cell(shelf: Shelf, matrix: NDArray[np.int64], classes: set[int]) -> Iterable[tuple[str, NDArray[np.int64]]]:
    labels, predicted = shelf.predictions.labels, shelf.predicted
    order_of: dict[bool, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
        True: lambda found: found[np.argsort(shelf.scores[found], kind="stable")],
        False: lambda found: found[np.argsort(-shelf.scores[found], kind="stable")],
    }
    full = [(int(matrix[true, said]), int(true), int(said)) for true, said in np.argwhere(matrix)]
    # Mistakes before hits: they are what a cell is opened for.
    for _, true, said in sorted(full, key=lambda item: (item[1] == item[2], -item[0], item[1], item[2])):
        if true in classes and said in classes:
            found = np.flatnonzero((labels == true) & (predicted == said))
            yield cell_key(true, said), order_of[true == said](found)
