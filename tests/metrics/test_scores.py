import warnings

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import assume, given
from hypothesis import strategies as st
from random_predictions import predictions

from tinysight.errors import InvalidValueError
from tinysight.metrics.counts import confusion_matrix, predicted_classes
from tinysight.metrics.intervals import bootstrap_class_counts, class_counts
from tinysight.metrics.scores import (
    accuracy,
    balanced_accuracy_value,
    brier_scores,
    class_scores,
    f1_by_class,
    log_losses,
    macro_f1_value,
    matrix_figures,
    mean_figures,
    top_k_accuracy,
    top_k_hits,
)


def matrix_of(probabilities, labels):
    return confusion_matrix(labels, predicted_classes(probabilities), probabilities.shape[1])


@given(predictions())
def test_accuracy_is_scikit_learns(example):
    probabilities, labels = example
    figure = accuracy(matrix_of(probabilities, labels))
    assert figure.value == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted_classes(probabilities)))
    assert figure.low <= figure.value <= figure.high
    assert figure.n == len(labels)


@given(predictions())
def test_balanced_accuracy_is_scikit_learns(example):
    probabilities, labels = example
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        warnings.filterwarnings("ignore", "A single label was found")
        theirs = sklearn.metrics.balanced_accuracy_score(labels, predicted_classes(probabilities))
    assert balanced_accuracy_value(class_counts(matrix_of(probabilities, labels))) == pytest.approx(theirs)


@given(predictions())
def test_macro_f1_is_scikit_learns(example):
    probabilities, labels = example
    theirs = sklearn.metrics.f1_score(labels, predicted_classes(probabilities), average="macro", zero_division=0)
    assert macro_f1_value(class_counts(matrix_of(probabilities, labels))) == pytest.approx(theirs)


@given(predictions())
def test_scores_of_each_class_are_scikit_learns(example):
    probabilities, labels = example
    matrix = matrix_of(probabilities, labels)
    names = tuple(f"class {index}" for index in range(len(matrix)))
    ours = class_scores(matrix, names, bootstrap_class_counts(matrix, np.random.default_rng(0), 50))
    theirs = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted_classes(probabilities), labels=np.arange(len(matrix)), zero_division=np.nan
    )
    for index, scores in enumerate(ours):
        precision, recall, f1, support = (float(column[index]) for column in theirs)
        assert scores.support == support
        for figure, expected in ((scores.precision, precision), (scores.recall, recall)):
            assert figure.value == (None if np.isnan(expected) else pytest.approx(expected))
        # Undefined precision makes scikit-learn's F1 undefined; 2 correct / (true + predicted) is 0 then.
        if not np.isnan(f1):
            assert scores.f1.value == pytest.approx(f1)
        assert (scores.f1.value is None) == (scores.support + scores.predicted == 0)


@given(predictions(ties=False), st.integers(1, 7))
def test_top_k_is_scikit_learns(example, k):
    probabilities, labels = example
    num_classes = probabilities.shape[1]
    assume(num_classes >= 3 and k < num_classes)
    # Ties are broken in another order there, so there are none here.
    assume(all(len(np.unique(row)) == num_classes for row in probabilities))
    theirs = sklearn.metrics.top_k_accuracy_score(labels, probabilities, k=k, labels=np.arange(num_classes))
    assert top_k_accuracy(probabilities, labels, k).value == pytest.approx(theirs)


@given(predictions())
def test_top_1_is_the_accuracy_also_with_ties_and_top_all_is_certain(example):
    probabilities, labels = example
    np.testing.assert_array_equal(top_k_hits(probabilities, labels, 1), predicted_classes(probabilities) == labels)
    assert top_k_hits(probabilities, labels, probabilities.shape[1]).all()


@pytest.mark.parametrize("k", [0, 4, -1])
def test_k_is_from_one_to_the_number_of_classes(k):
    with pytest.raises(InvalidValueError, match="expected 1 to 3"):
        top_k_hits(np.full((2, 3), 1 / 3), np.array([0, 1]), k)


@given(predictions(), st.sampled_from([np.float32, np.float64]))
def test_log_loss_is_scikit_learns(example, dtype):
    probabilities, labels = example
    probabilities = probabilities.astype(dtype)
    theirs = sklearn.metrics.log_loss(labels, probabilities, labels=np.arange(probabilities.shape[1]))
    assert log_losses(probabilities, labels).mean() == pytest.approx(theirs, rel=1e-5, abs=1e-7)


def test_a_sure_mistake_is_dear_but_finite():
    sure = np.array([[1.0, 0.0]])
    assert log_losses(sure, np.array([1]))[0] == pytest.approx(-np.log(np.finfo(np.float64).eps))
    assert log_losses(sure.astype(np.float32), np.array([1]))[0] == pytest.approx(-np.log(np.finfo(np.float32).eps))


@given(predictions())
def test_brier_score_is_scikit_learns(example):
    probabilities, labels = example
    theirs = sklearn.metrics.brier_score_loss(
        labels, probabilities, labels=np.arange(probabilities.shape[1]), scale_by_half=False
    )
    assert brier_scores(probabilities, labels).mean() == pytest.approx(theirs)


def test_brier_score_runs_from_0_to_2():
    assert brier_scores(np.eye(2), np.array([0, 0])).tolist() == [0, 2]


def test_f1_of_a_class_that_never_occurs_is_undefined_and_left_out_of_the_mean():
    counts = class_counts(np.array([[5, 0, 0], [5, 0, 0], [0, 0, 0]]))
    np.testing.assert_allclose(f1_by_class(counts), [2 / 3, 0, np.nan])
    assert macro_f1_value(counts) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1"])
def test_intervals_of_matrix_scores_cover_at_their_rate(name):
    """400 samples of 300 images each from a known confusion of three unequal classes."""
    chances = np.array([[0.40, 0.08, 0.02], [0.06, 0.20, 0.04], [0.02, 0.04, 0.14]])
    counts = class_counts((chances * 1_000_000).round().astype(int))
    truth = {"balanced_accuracy": balanced_accuracy_value, "macro_f1": macro_f1_value}[name](counts)
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(400):
        matrix = rng.multinomial(300, chances.ravel()).reshape(3, 3)
        figures = matrix_figures(matrix, bootstrap_class_counts(matrix, rng, 300))
        figure = next(figure for figure in figures if figure.name == name)
        covered += figure.low <= truth <= figure.high
    assert 0.915 < covered / 400 < 0.975


def test_means_have_the_width_that_their_spread_gives():
    values = np.random.default_rng(3).exponential(size=2000)
    (figure,) = mean_figures({"log_loss": values}, np.random.default_rng(0))
    assert figure.value == pytest.approx(values.mean())
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.1)
    assert (figure.n, figure.method) == (2000, "bootstrap 95 %")
