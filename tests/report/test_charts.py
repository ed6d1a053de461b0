import math
import re

import pytest

from tinysight.report.charts import Series, make_chart, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.61, 0.79, [0.65, 0.7, 0.75]),
        (0, 0.001, [0, 0.0002, 0.0004, 0.0006, 0.0008, 0.001]),
        (1, 1, [1]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert ticks(low, high, num_ticks=5) == pytest.approx(expected)


@pytest.mark.parametrize("last", [2, 3, 7, 10, 60, 1000])
def test_ticks_of_epochs_are_whole_and_few(last):
    found = ticks(1, last, num_ticks=6, whole=True)
    assert all(tick == int(tick) and 1 <= tick <= last for tick in found)
    assert 2 <= len(found) <= 8


def chart(*series, **options):
    return make_chart("key", "title", "words", series, x_label="x", y_label="y", **options)


def numbers(path):
    pairs = re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)
    return [(float(x), float(y)) for x, y in pairs]


def test_points_stay_inside_the_plot():
    drawn = chart(Series(name="a", xs=[1, 2, 3], ys=[5.0, -2.0, 9.0], lows=[4, -3, 8], highs=[6, -1, 12]))
    (line,) = drawn.lines
    for x, y in numbers(line.path):
        assert drawn.left <= x <= drawn.right
        assert drawn.top <= y <= drawn.bottom
    assert all(drawn.top <= high <= low <= drawn.bottom for _, low, high in line.whiskers)
    assert not drawn.has_legend


def test_higher_is_higher():
    drawn = chart(Series(name="a", xs=[1, 2], ys=[0.0, 1.0]))
    (_, low), (_, high) = numbers(drawn.lines[0].path)
    assert high < low


def test_a_single_point_has_a_marker_in_the_middle():
    drawn = chart(Series(name="a", xs=[1], ys=[0.5]), whole_x=True)
    ((x, y),) = drawn.lines[0].markers
    assert x == pytest.approx((drawn.left + drawn.right) / 2, abs=0.1)
    assert y == pytest.approx((drawn.top + drawn.bottom) / 2, abs=0.1)


def test_what_is_not_finite_is_left_out_of_the_picture_and_null_in_the_data():
    drawn = chart(Series(name="a", xs=[1, 2, 3], ys=[1.0, math.nan, 2.0]))
    assert len(numbers(drawn.lines[0].path)) == 2
    assert drawn.data["series"][0]["y"] == [1.0, None, 2.0]


def test_nothing_at_all_is_an_empty_plot():
    drawn = chart(Series(name="a", xs=[], ys=[]))
    assert drawn.lines[0].path == ""
    assert drawn.rows == ()


def test_the_table_joins_series_by_x():
    drawn = chart(Series(name="a", xs=[1, 2], ys=[10, 20]), Series(name="b", xs=[2, 3], ys=[200, 300], kind="second"))
    assert drawn.header == ("x", "a", "b")
    assert drawn.rows == (("1", "10", "–"), ("2", "20", "200"), ("3", "–", "300"))
    assert drawn.has_legend
