"""How long a list of likely wrong labels is, with strong and weak models whose probabilities are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from tinysight.errors import InvalidValueError
from tinysight.evaluation.labels import find_label_issues
from tinysight.evaluation.shortlist import MIN_PRECISION, shortlist

NUM_IMAGES, NUM_CLASSES = 6000, 10


def model_of(sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and honest probabilities: each label is drawn from the image's own probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(NUM_IMAGES, NUM_CLASSES)) * sharpness
    rows = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows /= rows.sum(axis=1, keepdims=True)
    labels = (rows.cumsum(axis=1) > rng.random((NUM_IMAGES, 1))).argmax(axis=1)
    return rows, labels


def flipped(labels: np.ndarray, count: int, seed: int = 1) -> tuple[np.ndarray, set[int]]:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(labels), count, replace=False)
    given = labels.copy()
    given[chosen] = (given[chosen] + rng.integers(1, NUM_CLASSES, count)) % NUM_CLASSES
    return given, set(chosen.tolist())


def precision_of(issues: object, planted: set[int]) -> float:
    return float(np.mean([issue.index in planted for issue in issues]))  # type: ignore[attr-defined]


@pytest.mark.parametrize("sharpness", [4.0, 8.0])
def test_a_weak_models_list_is_cut_to_what_pays(sharpness: float) -> None:
    rows, labels = model_of(sharpness)
    given, planted = flipped(labels, NUM_IMAGES // 100)
    everything, found = find_label_issues(rows, given), shortlist(rows, given)
    assert 0.6 < found.accuracy < 0.9
    assert found.num_flagged == len(everything)
    assert list(found.issues) == everything[: len(found.issues)]
    assert 10 <= len(found.issues) < len(everything) / 2
    assert precision_of(found.issues, planted) > 1.5 * precision_of(everything, planted)
    assert found.precision is not None
    assert found.precision >= MIN_PRECISION
    # What is expected comes about, but for chance: an honest model, and labels that are wrong at random.
    assert precision_of(found.issues, planted) == pytest.approx(found.precision, abs=0.2)
    assert found.rate == pytest.approx(0.01, abs=0.004)


def test_a_strong_models_list_is_not_cut() -> None:
    rows, labels = model_of(60.0)
    for share in (0.01, 0.08):
        given, planted = flipped(labels, int(share * NUM_IMAGES))
        found = shortlist(rows, given)
        assert len(found.issues) == found.num_flagged
        assert found.precision is None
        assert precision_of(found.issues, planted) > 0.8
        assert len({issue.index for issue in found.issues} & planted) > 0.8 * len(planted)


def test_many_wrong_labels_under_a_weak_model_make_a_longer_list() -> None:
    rows, labels = model_of(8.0)
    given, planted = flipped(labels, NUM_IMAGES // 10)
    found = shortlist(rows, given)
    assert 0.05 < found.rate < 0.13
    assert len(found.issues) > NUM_IMAGES // 20
    assert precision_of(found.issues, planted) > 0.5


def test_a_model_that_knows_nothing_blames_no_label() -> None:
    rng = np.random.default_rng(3)
    rows = rng.dirichlet(np.ones(NUM_CLASSES), NUM_IMAGES)
    found = shortlist(rows, rng.integers(0, NUM_CLASSES, NUM_IMAGES))
    assert found.num_flagged > 1000
    assert (len(found.issues), found.rate) == (0, 0.1)


def test_few_images_and_bad_predictions() -> None:
    rows, labels = np.full((24, 3), 0.01), np.arange(24) % 3
    rows[np.arange(24), labels] = 0.98
    given = labels.copy()
    given[2] = 0
    assert [issue.index for issue in shortlist(rows, given).issues] == [2]
    assert shortlist(rows, labels).issues == ()
    with pytest.raises(InvalidValueError):
        shortlist(rows, labels[:3])
