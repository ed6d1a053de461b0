from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quadrants import quadrants

from tinysight.errors import InvalidValueError
from tinysight.evaluation.labels import (
    assign_folds,
    cross_validated_probabilities,
    find_label_issues,
    label_scores,
    write_issues,
)
from tinysight.images import ImageSet
from tinysight.recipe import Recipe


def sure_of(classes: np.ndarray, num_classes: int, sure: float = 0.9) -> np.ndarray:
    rest = (1 - sure) / (num_classes - 1)
    return np.where(np.eye(num_classes, dtype=bool)[classes], sure, rest).astype(np.float32)


def with_flipped(images: ImageSet, count: int, seed: int = 0) -> tuple[ImageSet, np.ndarray]:
    """The images with `count` labels moved to another class, and which."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(images), count, replace=False))
    labels = images.labels.copy()
    labels[chosen] = (labels[chosen] + rng.integers(1, images.num_classes, count)) % images.num_classes
    return ImageSet(images=images.images, labels=labels, class_names=images.class_names), chosen


def test_planted_faults_rank_on_top(keras_module: Any, quadrant_recipe: Recipe) -> None:
    """The whole way: labels are flipped, nets are trained on what is left, and the flipped ones are found."""
    images, planted = with_flipped(quadrants(240), 5)
    lines: list[str] = []
    probabilities = cross_validated_probabilities(quadrant_recipe, images, 2, say=lines.append)
    assert probabilities.shape == (240, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    worst = np.argsort(label_scores(probabilities, images.labels))[:5]
    assert len(set(worst) & set(planted)) >= 4
    issues = find_label_issues(probabilities, images.labels)
    assert {issue.index for issue in issues[:3]} <= set(planted)
    true = quadrants(240).labels
    assert np.mean([issue.suggested == true[issue.index] for issue in issues[:3]]) == 1
    assert lines == [f"label check: training {fold} of 2, 120 images" for fold in (1, 2)]


def test_issues_of_sure_predictions() -> None:
    true = np.arange(200) % 5
    given = true.copy()
    given[[7, 90]] = [4, 1]
    rows = sure_of(true, 5)
    rows[90] = sure_of(np.array([0]), 5, 0.96)[0]
    issues = find_label_issues(rows, given)
    assert [(issue.index, issue.given, issue.suggested) for issue in issues] == [(90, 1, 0), (7, 4, 2)]
    assert issues[1].score == pytest.approx(0.025)
    assert issues[1].given_probability == pytest.approx(0.025)
    assert issues[0].suggested_probability == pytest.approx(0.96)


def test_right_labels_give_none() -> None:
    true = np.arange(60) % 3
    assert find_label_issues(sure_of(true, 3), true) == []


def test_classes_without_images_and_a_single_class() -> None:
    true = np.arange(100) % 2 * 3
    given = true.copy()
    given[10] = 3
    rows = sure_of(true, 5)
    assert [issue.index for issue in find_label_issues(rows, given)] == [10]
    assert find_label_issues(rows[:4], np.zeros(4, np.int64)) == []


def test_classes_of_few_images_are_no_news() -> None:
    """cleanlab warns of each class with five images or fewer, and warnings are errors here."""
    true = np.arange(6) % 3
    given = true.copy()
    given[2] = 0
    assert {issue.index for issue in find_label_issues(sure_of(true, 3, 0.98), given)} <= {2}


def test_scores_are_the_probability_of_the_label() -> None:
    rows = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    np.testing.assert_allclose(label_scores(rows, np.array([0, 2])), [0.2, 0.1])


@pytest.mark.parametrize(
    ("rows", "labels"),
    [(np.ones((2, 3)), [0, 1]), (sure_of(np.array([0, 1]), 3), [0, 3]), (sure_of(np.array([0, 1]), 3), [0])],
)
def test_bad_predictions(rows: np.ndarray, labels: list[int]) -> None:
    with pytest.raises(InvalidValueError):
        find_label_issues(rows, np.array(labels))


def test_folds() -> None:
    labels = np.repeat(np.arange(4), [40, 20, 9, 3])
    folds = assign_folds(labels, 3, seed=5)
    assert set(folds) == {0, 1, 2}
    for label, count in enumerate((40, 20, 9, 3)):
        per_fold = np.bincount(folds[labels == label], minlength=3)
        assert per_fold.max() - per_fold.min() <= 1
        assert per_fold.sum() == count
    np.testing.assert_array_equal(folds, assign_folds(labels, 3, seed=5))
    assert (folds != assign_folds(labels, 3, seed=6)).any()
    for bad in (1, 0, 73):
        with pytest.raises(InvalidValueError, match="folds"):
            assign_folds(labels, bad, seed=0)


def test_csv(tmp_path: Path) -> None:
    true = np.arange(40) % 2
    given = true.copy()
    given[3] = 0
    issues = find_label_issues(sure_of(true, 2), given)
    names = ('a "cat", or two', "dög")
    path = write_issues(tmp_path / "labels.csv", issues, names, [f"folder/{i}.png" for i in range(40)])
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "index": "3", "source": "folder/3.png", "given": names[0], "suggested": names[1], "score": "0.100000",
        "given_probability": "0.100000", "suggested_probability": "0.900000",
    }  # fmt: skip
    assert write_issues(tmp_path / "none.csv", [], names).read_text(encoding="utf-8").count("\n") == 1
