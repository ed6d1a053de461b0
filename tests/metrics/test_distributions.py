import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tinysight.errors import InvalidValueError
from tinysight.metrics.distributions import (
    coin_at_most,
    coin_exactly,
    incomplete_beta,
    student_quantile,
    student_two_sided,
)


@given(st.floats(0.05, 3000), st.floats(0.05, 3000), st.floats(0, 1))
def test_incomplete_beta_is_scipys(a, b, x):
    np.testing.assert_allclose(incomplete_beta(a, b, x), scipy.special.betainc(a, b, x), rtol=1e-9, atol=1e-12)


@given(st.floats(-50, 50), st.floats(0.5, 1000))
def test_the_two_sided_chance_of_t_is_scipys(t, degrees):
    np.testing.assert_allclose(
        student_two_sided(t, degrees), 2 * scipy.stats.t.sf(abs(t), degrees), rtol=1e-9, atol=1e-300
    )


@given(st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]), st.one_of(st.integers(1, 200), st.floats(0.5, 500)))
def test_the_quantile_of_t_is_scipys(level, degrees):
    assert student_quantile(level, degrees) == pytest.approx(scipy.stats.t.ppf(0.5 + level / 2, degrees), rel=1e-9)


def test_the_quantile_of_one_degree_of_freedom_is_the_tangent():
    assert student_quantile(0.95, 1) == pytest.approx(math.tan(0.95 * math.pi / 2), rel=1e-12)


def test_an_infinite_t_has_no_chance():
    assert student_two_sided(math.inf, 3) == 0


@pytest.mark.parametrize(("level", "degrees"), [(0.95, 0), (0.95, float("nan")), (1.5, 3)])
def test_a_quantile_out_of_range_is_refused(level, degrees):
    with pytest.raises(InvalidValueError):
        student_quantile(level, degrees)


@given(st.integers(0, 3000), st.floats(0, 1))
def test_coins_are_scipys(tosses, share):
    heads = round(share * tosses)
    fair, close = scipy.stats.binom(tosses, 0.5), {"rtol": 1e-9, "atol": 1e-200}
    np.testing.assert_allclose(coin_at_most(heads, tosses), fair.cdf(heads), **close)
    np.testing.assert_allclose(coin_exactly(heads, tosses), fair.pmf(heads), **close)


def test_less_than_no_heads_never_happens():
    assert coin_at_most(-1, 5) == 0
