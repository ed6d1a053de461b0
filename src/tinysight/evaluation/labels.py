"""Labels that are likely wrong, worst first, from probabilities that a model gave for images it had not learned."""

from __future__ import annotations

import csv
import io
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.files import write_text
from tinysight.images import ImageSet
from tinysight.metrics.figures import check_predictions
from tinysight.recipe import Recipe
from tinysight.training.retracing import without_retracing_warnings

NUM_FOLDS = 4
CSV_FIELDS = ("index", "source", "given", "suggested", "score", "given_probability", "suggested_probability")


@dataclass(frozen=True, kw_only=True)
class LabelIssue:
    """One label that is likely wrong.

    Attributes:
        index: position of the image.
        given: its label.
        suggested: the class that the model holds most probable besides.
        score: 0..1, how good the label looks: low is bad.
        given_probability: what the model gives the label.
        suggested_probability: what it gives the suggestion.
    """

    index: int
    given: int
    suggested: int
    score: float
    given_probability: float
    suggested_probability: float


def label_scores(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """How good each label looks: the probability that the model gives it, "self-confidence".

    Northcutt, Jiang, Chuang 2021, "Confident learning", arXiv 1911.00068, section 3.2. Of 600 labels flipped among
    MNIST's 60,000 its worst 600 held 94.7 % with one recipe and 90.5 % with another, those by the margin to the next
    class 94.7 % and 83.7 %; of 40 among 4,000 it was 85 % and 80 %.

    Args:
        probabilities: real numbers, shape (n, classes), rows that sum to 1, of images that the model had not learned.
        labels: integers, shape (n,).

    Returns:
        float64, shape (n,), 0..1, low = bad.

    Raises:
        InvalidValueError: when the predictions are none.
    """
    from cleanlab.rank import get_label_quality_scores

    rows, given = check_predictions(probabilities, labels)
    scores = get_label_quality_scores(given, rows.astype(np.float64), method="self_confidence")
    return np.asarray(scores, np.float64)


def find_label_issues(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> list[LabelIssue]:
    """The labels that are likely wrong, worst first, by confident learning as cleanlab has it.

    How many there are of each pair of classes is estimated from the images that the model is surer of in another class
    than it is on average of images that have that label: Northcutt, Jiang, Chuang 2021, arXiv 1911.00068.

    Args:
        probabilities: real numbers, shape (n, classes), rows that sum to 1, of images that the model had not learned.
        labels: integers, shape (n,).

    Raises:
        InvalidValueError: when the predictions are none.
    """
    from cleanlab.filter import find_label_issues as flag

    rows, given = check_predictions(probabilities, labels)
    rows = rows.astype(np.float64)
    scores = label_scores(rows, given)
    # One process: more would be started anew on macOS and Windows, for a second's work.
    flagged = np.flatnonzero(_flagged(flag, rows, given))
    worst_first = flagged[np.lexsort((flagged, scores[flagged]))]
    return [_issue(int(index), rows, given, scores) for index in worst_first]


def _flagged(
    flag: Callable[..., NDArray[np.bool_]], rows: NDArray[np.float64], given: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """cleanlab wants every class among the labels, so classes without an image are left out while it looks."""
    present = np.unique(given)
    if len(present) < 2:
        return np.zeros(len(given), np.bool_)
    shares = rows[:, present]
    sums = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, sums, out=np.full_like(shares, 1 / len(present)), where=sums > 0)
    with warnings.catch_warnings():
        # Of a class with five images or fewer none is named; a report on a small folder need not say so class by class.
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)
        return flag(np.searchsorted(present, given), shares, n_jobs=1)


def _issue(index: int, rows: NDArray[np.float64], given: NDArray[np.int64], scores: NDArray[np.float64]) -> LabelIssue:
    label = int(given[index])
    others = rows[index].copy()
    others[label] = -1
    suggested = int(others.argmax())
    return LabelIssue(
        index=index,
        given=label,
        suggested=suggested,
        score=float(scores[index]),
        given_probability=float(rows[index, label]),
        suggested_probability=float(rows[index, suggested]),
    )


def write_issues(
    path: Path, issues: Sequence[LabelIssue], class_names: Sequence[str], sources: Sequence[str] = ()
) -> Path:
    """Writes the issues as CSV, one a row, worst first, for a person to go through.

    Args:
        path: where to.
        issues: as `find_label_issues` gives them.
        class_names: one name per class.
        sources: the file of each image, or empty when the data set has no files.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for issue in issues:
        writer.writerow(
            (
                issue.index,
                sources[issue.index] if sources else "",
                class_names[issue.given],
                class_names[issue.suggested],
                f"{issue.score:.6f}",
                f"{issue.given_probability:.6f}",
                f"{issue.suggested_probability:.6f}",
            )
        )
    return write_text(path, text.getvalue())


def assign_folds(labels: NDArray[np.integer], num_folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each image, every class spread evenly: int64, shape (n,), 0 to num_folds - 1.

    Raises:
        InvalidValueError: when there are fewer than 2 folds, or fewer images than folds.
    """
    if not 2 <= num_folds <= len(labels):
        raise InvalidValueError(f"{num_folds} folds of {len(labels)} images; expected 2 or more, an image in each")
    keys = np.random.PCG64(seed).random_raw(len(labels))
    folds = np.empty(len(labels), np.int64)
    folds[np.lexsort((keys, labels))] = np.arange(len(labels)) % num_folds
    return folds


def cross_validated_probabilities(
    recipe: Recipe,
    images: ImageSet,
    num_folds: int = NUM_FOLDS,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> NDArray[np.float32]:
    """Probabilities of training images, each from a net that was trained by `recipe` without it.

    Costs `num_folds` trainings on (num_folds - 1) / num_folds of the images each.

    Args:
        recipe: how the nets are trained; no validation data is held out.
        images: all of them.
        num_folds: how many nets.
        say: takes a line before each training.

    Returns:
        float32, shape (n, classes).

    Raises:
        InvalidValueError: when there are fewer than 2 folds, or fewer images than folds.
        TrainingStoppedError: when a training goes wrong.
    """
    folds = assign_folds(images.labels, num_folds, recipe.seed)
    probabilities = np.empty((len(images), images.num_classes), np.float32)
    for fold in range(num_folds):
        inside = np.flatnonzero(folds == fold)
        say(f"label check: training {fold + 1} of {num_folds}, {len(images) - len(inside):,} images")
        train = images.take(np.flatnonzero(folds != fold))
        with without_retracing_warnings():
            probabilities[inside] = _held_out_probabilities(recipe, train, images.images[inside])
    return probabilities


def _held_out_probabilities(recipe: Recipe, train: ImageSet, held_out: NDArray[np.uint8]) -> NDArray[np.float32]:
    import keras

    from tinysight.models.registry import as_saved, build_training_net
    from tinysight.models.serving import serving_model_of
    from tinysight.training.fit import fit

    keras.utils.set_random_seed(recipe.seed)
    net = build_training_net(recipe, train.image_shape, train.num_classes)
    with tempfile.TemporaryDirectory(prefix="tinysight-") as folder:
        fit(recipe, net, train, None, history_path=Path(folder) / "history.csv", quiet=True)
    model = serving_model_of(as_saved(net, recipe, train.image_shape, train.num_classes), recipe, train.image_shape)
    probabilities = np.asarray(model.predict(held_out, batch_size=500 // recipe.num_views, verbose=0), np.float32)
    # Each net leaves its graphs behind otherwise.
    keras.backend.clear_session()
    return probabilities
