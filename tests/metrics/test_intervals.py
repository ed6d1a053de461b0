import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tinysight.errors import InvalidValueError
from tinysight.metrics.intervals import (
    bootstrap_class_counts,
    bootstrap_means,
    class_counts,
    normal_quantile,
    percentile_interval,
    share_figure,
    wilson,
)

MATRIX = np.array([[40, 5, 0, 0], [10, 20, 0, 0], [0, 0, 0, 0], [1, 0, 0, 24]])


def rng():
    return np.random.default_rng(20240601)


@given(st.integers(1, 10_000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_is_scipys(n, share, level):
    successes = round(share * n)
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    np.testing.assert_allclose(wilson(successes, n, level), theirs, rtol=1e-9, atol=1e-12)


def test_normal_quantile_is_the_familiar_one():
    assert normal_quantile(0.95) == pytest.approx(1.959964, abs=1e-6)


def test_wilson_never_leaves_the_unit_range_and_is_exact_at_its_ends():
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1
    assert wilson(0, 10).high > 0.2


@pytest.mark.parametrize(("n", "share"), [(30, 0.03), (30, 0.5), (100, 0.98), (1000, 0.7)])
def test_wilson_covers_at_its_rate_on_average_over_nearby_shares(n, share):
    """Exact, not simulated: the normal interval covers 60 % at the first of these, Wilson's 95."""
    successes = np.arange(n + 1)
    low, high = np.array([wilson(int(k), n) for k in successes]).T
    # Coverage jumps up and down with the share, as counts are whole, so it is averaged over a neighbourhood.
    shares = np.clip(np.linspace(share - 0.01, share + 0.01, 41), 0.001, 0.999)
    inside = (low[:, None] <= shares) & (shares <= high[:, None])
    coverage = (scipy.stats.binom.pmf(successes[:, None], n, shares) * inside).sum(axis=0).mean()
    assert 0.94 < coverage < 0.965


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(InvalidValueError, match="successes of"):
        wilson(successes, n)


def test_a_share_of_nothing_is_undefined():
    figure = share_figure("precision", 0, 0)
    assert (figure.value, figure.low, figure.high, figure.n) == (None, None, None, 0)


def test_a_share_names_its_method_and_level():
    assert share_figure("recall", 9, 10, 0.999).method == "Wilson 99.9 %"


def test_resampled_means_have_the_mean_and_standard_error_of_the_sample():
    values = np.stack([rng().exponential(size=400), rng().random(400)], axis=1)
    means = bootstrap_means(values, rng(), 4000)
    assert means.shape == (4000, 2)
    np.testing.assert_allclose(means.mean(axis=0), values.mean(axis=0), rtol=0.005)
    np.testing.assert_allclose(means.std(axis=0), values.std(axis=0) / np.sqrt(400), rtol=0.06)


def test_columns_are_resampled_together():
    values = rng().random((50, 1)) * [1, 2]
    means = bootstrap_means(values, rng(), 20)
    np.testing.assert_allclose(means[:, 1], 2 * means[:, 0])


def test_one_column_gives_one_dimension_and_chunks_give_the_same_shape(monkeypatch):
    monkeypatch.setattr("tinysight.metrics.intervals.CHUNK", 70)
    means = bootstrap_means(np.arange(30.0), rng(), 25)
    assert means.shape == (25,)
    assert 5 < means.min() < means.max() < 25


def test_the_bootstrap_is_the_same_for_the_same_seed():
    values = rng().random(100)
    np.testing.assert_array_equal(bootstrap_means(values, rng()), bootstrap_means(values, rng()))


def test_the_percentile_interval_of_a_mean_covers_at_its_rate():
    """1,000 samples of 200 skewed values: 95 % give or take three standard errors of a coverage, 2 %."""
    generator = rng()
    covered = 0
    for _ in range(1000):
        low, high = percentile_interval(bootstrap_means(generator.gamma(2.0, size=200), generator, 300))
        covered += low <= 2.0 <= high
    assert 0.92 < covered / 1000 < 0.97


def test_resampled_class_counts_are_those_of_resampled_images():
    """Against the long way: pick images with replacement, count each pick."""
    true, predicted = (np.repeat(axis, MATRIX.ravel()) for axis in np.indices(MATRIX.shape).reshape(2, -1))
    picks = rng().integers(0, len(true), (3000, len(true)))
    counts = bootstrap_class_counts(MATRIX, rng(), 3000)
    for index in range(4):
        long_way = {
            "correct": ((true[picks] == index) & (predicted[picks] == index)).sum(axis=1),
            "true": (true[picks] == index).sum(axis=1),
            "predicted": (predicted[picks] == index).sum(axis=1),
        }
        for name, expected in long_way.items():
            ours = getattr(counts, name)[:, index]
            assert ours.mean() == pytest.approx(expected.mean(), abs=0.3), name
            assert ours.std() == pytest.approx(expected.std(), abs=0.25), name


def test_resampled_class_counts_add_up(monkeypatch):
    monkeypatch.setattr("tinysight.metrics.intervals.CHUNK", 30)
    counts = bootstrap_class_counts(MATRIX, rng(), 50)
    assert (counts.true.sum(axis=1) == MATRIX.sum()).all()
    assert (counts.predicted.sum(axis=1) == MATRIX.sum()).all()
    assert (counts.correct <= np.minimum(counts.true, counts.predicted)).all()
    assert (counts.true[:, 2] == 0).all()


def test_class_counts_of_a_matrix():
    counts = class_counts(MATRIX)
    assert counts.correct.tolist() == [40, 20, 0, 24]
    assert counts.true.tolist() == [45, 30, 0, 25]
    assert counts.predicted.tolist() == [51, 25, 0, 24]


def test_undefined_resamples_are_left_out_of_an_interval():
    assert percentile_interval(np.array([np.nan, 1.0, 2.0, 3.0]), 0.5) == (1.5, 2.5)


def test_nothing_cannot_be_resampled():
    with pytest.raises(InvalidValueError, match="no images"):
        bootstrap_means(np.empty(0), rng())
    with pytest.raises(InvalidValueError, match="empty"):
        bootstrap_class_counts(np.zeros((2, 2), int), rng())
