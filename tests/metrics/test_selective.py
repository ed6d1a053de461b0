import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from tinysight.errors import InvalidValueError
from tinysight.metrics.calibration import logits_of, softmax
from tinysight.metrics.selective import (
    OUTLIER_SCORES,
    auroc,
    auroc_figure,
    auroc_interval,
    energy_score,
    entropy_score,
    probability_score,
    risk_coverage,
)

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=40)


@given(SCORES, SCORES)
def test_auroc_is_scikit_learns_with_ties(negatives, positives):
    labels = [0] * len(negatives) + [1] * len(positives)
    assert auroc(negatives, positives) == pytest.approx(sklearn.metrics.roc_auc_score(labels, negatives + positives))


def test_auroc_takes_infinities_and_refuses_nan_and_nothing():
    assert auroc([-np.inf, 0], [1, np.inf]) == 1
    for bad in ([], [np.nan], [[1.0]]):
        with pytest.raises(InvalidValueError, match="scores have shape"):
            auroc([0.0], bad)


def test_the_interval_of_an_auroc_stays_within_its_range():
    perfect = auroc_interval(1.0, 20, 20)
    assert perfect.high == 1
    assert 0.8 < perfect.low < 0.95
    low, high = auroc_interval(0.7, 50, 50)
    assert low < 0.7 < high
    assert auroc_interval(0.3, 50, 50) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_the_interval_of_an_auroc_covers_at_its_rate(shift):
    """Two normal samples `shift` apart have an area of Phi(shift / sqrt 2)."""
    truth, rng, covered = scipy.stats.norm.cdf(shift / np.sqrt(2)), np.random.default_rng(2), 0
    for _ in range(1000):
        figure = auroc_figure("auroc", rng.normal(size=60), rng.normal(shift, size=90))
        covered += figure.low <= truth <= figure.high
    assert figure.n == 150
    assert 0.93 < covered / 1000 < 0.975


def test_risk_coverage_counts_from_the_surest():
    curve = risk_coverage([0.9, 0.5, 0.8, 0.7], [True, False, True, False])
    np.testing.assert_allclose(curve.thresholds, [0.9, 0.8, 0.7, 0.5])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.risk, [0, 0, 1 / 3, 0.5])
    assert curve.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert curve.accuracy_at(0.5) == 1
    assert curve.accuracy_at(0.51) == pytest.approx(2 / 3)
    assert curve.accuracy_at(1) == 0.5


def test_equal_confidences_are_answered_together_whatever_their_order():
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        curve = risk_coverage(np.array([0.9, 0.9, 0.9, 0.1])[order], np.array([True, False, True, True])[order])
        np.testing.assert_allclose(curve.coverage, [0.75, 1])
        np.testing.assert_allclose(curve.risk, [1 / 3, 0.25])


def test_a_coverage_that_rounding_would_miss():
    curve = risk_coverage(np.arange(10.0), np.arange(10) >= 7)
    assert curve.accuracy_at(0.1 + 0.2) == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=50))
def test_the_curve_ends_at_the_error_rate_and_its_area_is_the_mean_risk(images):
    confidence, right = np.array(images, dtype=float).T
    curve = risk_coverage(confidence, right)
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(1 - right.mean())
    assert (np.diff(curve.coverage) > 0).all()
    assert (np.diff(curve.thresholds) < 0).all()
    assert 0 <= curve.area <= 1


@pytest.mark.parametrize("coverage", [0, -0.1, 1.1, float("nan")])
def test_a_coverage_is_a_fraction(coverage):
    with pytest.raises(InvalidValueError, match="coverage is"):
        risk_coverage([0.5], [True]).accuracy_at(coverage)


def test_confidences_and_hits_go_together():
    with pytest.raises(InvalidValueError, match="2 confidences for 1 images"):
        risk_coverage([0.5, 0.6], [True])


@pytest.mark.parametrize("name", OUTLIER_SCORES)
def test_every_score_ranks_flat_outputs_above_peaked_ones(name):
    rng = np.random.default_rng(0)
    peaked, flat = 8 * np.eye(10)[rng.integers(0, 10, 200)], np.zeros((200, 10))
    noise = rng.normal(size=(2, 200, 10))
    score = OUTLIER_SCORES[name]
    assert auroc(score(peaked + noise[0]), score(flat + noise[1])) > 0.95


def test_scores_equal_their_definitions():
    logits = np.random.default_rng(1).normal(size=(30, 5)) * 10
    probabilities = softmax(logits)
    np.testing.assert_allclose(probability_score(logits), 1 - probabilities.max(axis=1), atol=1e-12)
    np.testing.assert_allclose(entropy_score(logits), scipy.stats.entropy(probabilities, axis=1), atol=1e-12)
    np.testing.assert_allclose(energy_score(logits), -np.log(np.exp(logits).sum(axis=1)))
    np.testing.assert_allclose(entropy_score(logits_of(probabilities)), entropy_score(logits), atol=1e-9)


def test_the_energy_of_log_probabilities_says_nothing_and_is_refused():
    with pytest.raises(InvalidValueError, match="own logits"):
        energy_score(logits_of(np.full((3, 4), 0.25)))
