import json

import numpy as np
import pytest

from tinysight.errors import InvalidValueError
from tinysight.metrics.figures import Figure, check_level, check_predictions

GOOD = np.full((3, 4), 0.25)
LABELS = np.array([0, 1, 3])


def test_a_figure_is_json_with_its_interval_n_and_method():
    assert json.loads(json.dumps(Figure("accuracy", 0.5, 0.4, 0.6, 100, "Wilson 95 %").to_dict())) == {
        "value": 0.5,
        "interval": [0.4, 0.6],
        "n": 100,
        "method": "Wilson 95 %",
    }


def test_an_undefined_figure_has_null_for_value_and_interval():
    assert Figure("precision", None, None, None, 0, "Wilson 95 %").to_dict()["interval"] is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_keep_their_floating_type(dtype):
    rows, labels = check_predictions(GOOD.astype(dtype), LABELS.astype(np.uint8))
    assert rows.dtype == dtype
    assert labels.dtype == np.int64


def test_whole_number_certainties_are_accepted():
    rows, _ = check_predictions(np.eye(4, dtype=int)[:3], LABELS)
    assert rows.dtype == np.float64


@pytest.mark.parametrize(
    ("probabilities", "labels", "says"),
    [
        (np.full(4, 0.25), LABELS, "shape (4,)"),
        (np.ones((3, 1)), LABELS, "two classes"),
        (np.empty((0, 4)), np.empty(0, int), "at least one image"),
        (np.full((3, 4), "a"), LABELS, "real numbers"),
        (np.full((3, 4), np.nan), LABELS, "row 0"),
        (np.array([[0.5, 0.5], [1.5, -0.5]]), np.array([0, 1]), "row 1"),
        (np.array([[0.5, 0.5], [3.0, 4.0]]), np.array([0, 1]), "row 1 of the probabilities sums to 7"),
        (GOOD, LABELS[:2], "for 3 images"),
        (GOOD, LABELS.astype(float), "expected integers"),
        (GOOD, np.array([0, 1, 4]), "0 to 4"),
        (GOOD, np.array([-1, 1, 2]), "-1 to 2"),
    ],
)
def test_what_is_no_prediction_is_refused_with_what_came(probabilities, labels, says):
    with pytest.raises(InvalidValueError) as error:
        check_predictions(probabilities, labels)
    assert says in str(error.value)


@pytest.mark.parametrize("level", [0, 1, -0.5, 95, float("nan")])
def test_a_level_is_a_fraction(level):
    with pytest.raises(InvalidValueError, match="between 0 and 1"):
        check_level(level)
