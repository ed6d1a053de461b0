import json

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tinysight.errors import InvalidValueError
from tinysight.metrics.comparison import compare_predictions, compare_seeds, mcnemar


def predictions_with(right, labels):
    """Probabilities of ten classes that are right where `right` says so."""
    return np.eye(10)[np.where(right, labels, (labels + 1) % 10)]


def pair(num_images, first, second, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, num_images)
    rights = (rng.random(num_images) < first, rng.random(num_images) < second)
    return tuple((predictions_with(right, labels), labels) for right in rights)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_exact_test_is_scipys_binomial_test(only_first, only_second):
    theirs = scipy.stats.binomtest(only_first, only_first + only_second, 0.5).pvalue
    assert mcnemar(only_first, only_second).exact_p == pytest.approx(theirs, rel=1e-9)


def test_mid_p_is_that_of_its_paper():
    """Fagerland et al. 2013, table 1: airway hyper-responsiveness before and after transplantation."""
    test = mcnemar(1, 7)
    assert test.exact_p == pytest.approx(0.0703, abs=5e-5)
    assert test.mid_p == pytest.approx(0.0391, abs=5e-5)


def test_no_discordant_image_is_no_evidence():
    assert (mcnemar(0, 0).exact_p, mcnemar(0, 0).mid_p) == (1, 1)
    assert (mcnemar(4, 4).exact_p, mcnemar(4, 4).mid_p) == (1, pytest.approx(1))


def test_the_mid_p_test_keeps_its_level_and_is_sharper_than_the_exact_one():
    """Over all outcomes of 40 discordant images that are fair coins, each weighed with its chance."""
    chances = scipy.stats.binom.pmf(np.arange(41), 40, 0.5)
    tests = [mcnemar(only_first, 40 - only_first) for only_first in range(41)]
    exact, mid = (chances @ [getattr(test, name) <= 0.05 for test in tests] for name in ("exact_p", "mid_p"))
    assert exact <= mid <= 0.05


def test_a_clear_difference_is_called_one_with_its_size():
    result = compare_predictions(*pair(2000, 0.6, 0.7), names=("runs/a", "runs/b"))
    assert result.difference.low > 0.04
    assert result.test.mid_p < 1e-4
    assert result.verdict.startswith("Runs/b is better than runs/a by ")
    assert "p < 0.0001" in result.verdict
    assert "2,000 images" in result.verdict


def test_the_better_one_is_named_when_it_comes_first():
    result = compare_predictions(*pair(2000, 0.7, 0.6))
    assert result.difference.high < 0
    assert result.verdict.startswith("The first is better than the second by ")
    assert "(+" in result.verdict


def test_a_difference_by_chance_is_not_called_one():
    result = compare_predictions(*pair(300, 0.7, 0.71))
    assert result.difference.low < 0 < result.difference.high
    assert result.verdict.startswith("No difference that 300 images can show")


def test_the_same_predictions_do_not_differ():
    (first, _) = pair(100, 0.7, 0.7)
    result = compare_predictions(first, first)
    assert (result.difference.value, result.difference.low, result.difference.high) == (0, 0, 0)
    assert (result.agreement, result.test.exact_p) == (1, 1)
    assert result.verdict.startswith("No difference")


def test_pairing_makes_the_interval_narrow():
    """Two nets that differ on 2 % of the images: unpaired, the interval would be five times as wide."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 5000)
    right = rng.random(5000) < 0.7
    other = right ^ (rng.random(5000) < 0.02)
    result = compare_predictions((predictions_with(right, labels), labels), (predictions_with(other, labels), labels))
    assert result.difference.high - result.difference.low < 0.01


def test_the_interval_of_the_difference_covers_at_its_rate():
    covered = 0
    for seed in range(300):
        figure = compare_predictions(*pair(300, 0.6, 0.7, seed), seed=seed).difference
        covered += figure.low <= 0.1 <= figure.high
    assert 0.91 < covered / 300 < 0.98


def test_other_images_are_refused():
    (rows, labels), _ = pair(100, 0.7, 0.7)
    with pytest.raises(InvalidValueError, match="of 100 and 99 images"):
        compare_predictions((rows, labels), (rows[:99], labels[:99]))
    shuffled = np.roll(labels, 1)
    with pytest.raises(InvalidValueError, match="of 100 labels differ"):
        compare_predictions((rows, labels), (rows, shuffled))


def test_welch_is_scipys():
    first, second = [0.70, 0.71, 0.705, 0.69], [0.72, 0.74, 0.715]
    result = compare_seeds(first, second)
    theirs = scipy.stats.ttest_ind(second, first, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert result.p == pytest.approx(theirs.pvalue)
    assert (result.difference.low, result.difference.high) == pytest.approx((interval.low, interval.high))
    assert result.difference.n == 7


@pytest.mark.parametrize(
    ("first", "second", "start"),
    [
        ([0.7, 0.7], [0.7, 0.7], "The second minus the first is +0.00 points on 2 and 2 seeds"),
        ([0.7, 0.7], [0.8, 0.8], "The second minus the first is +10.00 points"),
        ([0.95, 0.95], [0.9, 0.9], "The first minus the second is +5.00 points"),
        # Their rounded mean is none of them, so that their deviation is not quite 0.
        ([0.1, 0.1, 0.1], [0.2, 0.2, 0.2], "The second minus the first is +10.00 points"),
    ],
)
def test_seeds_that_agree_are_not_tested(first, second, start):
    result = compare_seeds(first, second)
    assert (result.p, result.difference.low, result.difference.high) == (None, None, None)
    assert result.verdict.startswith(start)
    assert result.verdict.endswith("seeds that agree leave no spread to test against.")
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (record["p"], record["difference"]["interval"]) == (None, None)


def test_one_side_without_spread_is_tested_against_that_of_the_other():
    assert 0 < compare_seeds([0.7, 0.7], [0.8, 0.81]).p < 0.1


def test_one_seed_has_no_spread_to_test_with():
    with pytest.raises(InvalidValueError, match="at least 2 of each"):
        compare_seeds([0.7], [0.8, 0.8])


def test_comparisons_are_json():
    json.dumps(compare_predictions(*pair(50, 0.5, 0.9)).to_dict(), allow_nan=False)
    json.dumps(compare_seeds([0.1, 0.2], [0.3, 0.4]).to_dict(), allow_nan=False)


def test_negative_counts_are_refused():
    with pytest.raises(InvalidValueError, match="0 or more"):
        mcnemar(-1, 3)
