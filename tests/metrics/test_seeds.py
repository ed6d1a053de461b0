import json

import numpy as np
import pytest
import scipy.stats

from tinysight.errors import InvalidValueError
from tinysight.metrics.seeds import over_seeds


def test_mean_spread_and_interval_are_scipys():
    values = [0.71, 0.705, 0.722, 0.699, 0.713]
    spread = over_seeds("accuracy", values)
    interval = scipy.stats.t.interval(0.95, 4, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert spread.mean.value == pytest.approx(np.mean(values))
    assert spread.std == pytest.approx(np.std(values, ddof=1))
    assert (spread.mean.low, spread.mean.high) == pytest.approx(interval)
    assert spread.mean.n == 5


def test_the_interval_covers_at_its_rate_for_three_seeds():
    """A normal quantile in place of Student's would cover 81 % here."""
    rng = np.random.default_rng(5)
    intervals = [over_seeds("accuracy", rng.normal(0.7, 0.01, 3)).mean for _ in range(1000)]
    assert np.mean([figure.low <= 0.7 <= figure.high for figure in intervals]) == pytest.approx(0.95, abs=0.02)


def test_one_seed_has_a_mean_and_no_spread():
    spread = over_seeds("accuracy", [0.7])
    assert (spread.mean.value, spread.mean.low, spread.std) == (0.7, None, None)
    assert json.loads(json.dumps(spread.to_dict()))["mean"]["interval"] is None


@pytest.mark.parametrize("values", [[], [0.7, float("nan")], [float("inf")]])
def test_figures_that_are_none_are_refused(values):
    with pytest.raises(InvalidValueError, match="finite"):
        over_seeds("accuracy", values)
