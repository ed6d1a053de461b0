import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from random_predictions import predictions

from tinysight.errors import InvalidValueError
from tinysight.metrics.counts import (
    ConfusedPair,
    confusion_matrix,
    most_confused,
    normalized_by_true,
    predicted_classes,
    support,
)

MATRIX = np.array([[8, 2, 0], [3, 0, 0], [2, 5, 5]])


@given(predictions())
def test_the_matrix_is_scikit_learns(example):
    probabilities, labels = example
    num_classes = probabilities.shape[1]
    predicted = predicted_classes(probabilities)
    theirs = sklearn.metrics.confusion_matrix(labels, predicted, labels=np.arange(num_classes))
    np.testing.assert_array_equal(confusion_matrix(labels, predicted, num_classes), theirs)


def test_a_tie_goes_to_the_first_class():
    assert predicted_classes(np.array([[0.2, 0.4, 0.4]])).tolist() == [1]


def test_rows_are_shares_of_the_true_class_and_an_absent_class_is_zero():
    shares = normalized_by_true(np.array([[8, 2, 0], [0, 0, 0], [1, 1, 2]]))
    np.testing.assert_allclose(shares, [[0.8, 0.2, 0], [0, 0, 0], [0.25, 0.25, 0.5]])


def test_support_counts_the_images_of_each_class():
    assert support(MATRIX).tolist() == [10, 3, 12]


def test_most_confused_pairs_come_by_count_then_by_share():
    assert most_confused(MATRIX) == (
        ConfusedPair(true=2, predicted=1, count=5, share=5 / 12),
        ConfusedPair(true=1, predicted=0, count=3, share=1.0),
        ConfusedPair(true=0, predicted=1, count=2, share=0.2),
        ConfusedPair(true=2, predicted=0, count=2, share=2 / 12),
    )
    assert [pair.count for pair in most_confused(MATRIX, 2)] == [5, 3]
    assert most_confused(np.diag([5, 5])) == ()


@pytest.mark.parametrize(("labels", "predicted"), [([0, 1], [0]), ([0, 3], [0, 0]), ([0, 1], [0, -1])])
def test_labels_that_do_not_fit_are_refused(labels, predicted):
    with pytest.raises(InvalidValueError):
        confusion_matrix(np.array(labels), np.array(predicted), 3)


def test_a_negative_number_of_pairs_is_refused():
    with pytest.raises(InvalidValueError, match="num_pairs is -1"):
        most_confused(MATRIX, -1)
