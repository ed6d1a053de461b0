"""Line charts as records: the geometry is worked out here, templates draw it as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinysight.report.words import MISSING, short_number

Format = Callable[[float], str]
Place = Callable[[float], float]
# A small viewBox keeps words readable when a phone shrinks the chart.
WIDTH, HEIGHT = 440.0, 270.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 24.0, 12.0, 48.0
# More markers than that hide the line.
MAX_MARKERS = 45


@dataclass(frozen=True, kw_only=True)
class Series:
    """What one line shows.

    Attributes:
        name: for the legend and the table's header.
        xs, ys: the points, by rising x.
        kind: "first", "second" (dashed) or "reference" (thin, grey, without markers); how it is drawn. With "points"
            behind it, as in "first points", only its points are.
        lows, highs: ends of an interval at each point, or empty.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    kind: str = "first"
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()


@dataclass(frozen=True)
class Tick:
    position: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A series in the coordinates of the picture: `path` is an SVG path, `whiskers` are (x, low, high)."""

    name: str
    kind: str
    path: str
    markers: tuple[tuple[float, float], ...]
    whiskers: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A line chart.

    Attributes:
        key: names the chart's data in the page's JSON, and its elements.
        title, description: what it shows, in words; `description` says what a reader should see in it.
        x_label, y_label: of the axes.
        width, height: of the picture; `left`, `right`, `top`, `bottom` are the edges of the plot within it.
        x_ticks, y_ticks: on the axes.
        lines: what is drawn.
        header, rows: the same numbers as a table.
        data: the same numbers as JSON values.
    """

    key: str
    title: str
    description: str
    x_label: str
    y_label: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: dict[str, Any]

    @property
    def has_legend(self) -> bool:
        return len(self.lines) > 1


def make_chart(
    key: str,
    title: str,
    description: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    x_format: Format = short_number,
    y_format: Format = short_number,
    whole_x: bool = False,
    height: float = HEIGHT,
) -> Chart:
    """Works out a chart.

    Args:
        key, title, description, x_label, y_label: as in `Chart`.
        series: what to draw; points that are not finite are left out.
        x_range, y_range: ends of the axes; None for what the points need.
        x_format, y_format: numbers to words, on axes and in the table.
        whole_x: whether only whole numbers get a tick, as epochs do.
        height: of the picture.
    """
    x_axis = x_range or _range([x for item in series for x in item.xs], whole_x)
    y_axis = y_range or _range([y for item in series for y in (*item.ys, *item.lows, *item.highs)])
    right, bottom = WIDTH - RIGHT, height - BOTTOM

    def place_x(x: float) -> float:
        return round(LEFT + (x - x_axis[0]) / (x_axis[1] - x_axis[0]) * (right - LEFT), 1)

    def place_y(y: float) -> float:
        return round(bottom - (y - y_axis[0]) / (y_axis[1] - y_axis[0]) * (bottom - TOP), 1)

    return Chart(
        key=key, title=title, description=description, x_label=x_label, y_label=y_label,
        width=WIDTH, height=height, left=LEFT, right=right, top=TOP, bottom=bottom,
        x_ticks=tuple(Tick(place_x(x), x_format(x)) for x in ticks(*x_axis, num_ticks=6, whole=whole_x)),
        y_ticks=tuple(Tick(place_y(y), y_format(y)) for y in ticks(*y_axis, num_ticks=5)),
        lines=tuple(_line(item, place_x, place_y) for item in series),
        header=(x_label, *(item.name for item in series)),
        rows=_rows(series, x_format, y_format),
        data={"x": x_label, "y": y_label, "series": [_series_data(item) for item in series]},
    )  # fmt: skip


def ticks(low: float, high: float, *, num_ticks: int, whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high`, about `num_ticks` of them: 1, 2, 2.5 or 5 times a power of ten apart."""
    if not high > low:
        return [low]
    rough = (high - low) / num_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    if whole:
        step = max(1.0, float(math.ceil(step)))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _range(values: Sequence[float], whole: bool = False) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if low == high:
        # A single point stands in the middle.
        half = 1.0 if whole else (abs(low) / 2 or 0.5)
        return low - half, high + half
    margin = 0.0 if whole else 0.04 * (high - low)
    # An axis of quantities that are never negative does not begin below 0.
    return (max(low - margin, 0.0) if low >= 0 else low - margin), high + margin


def _line(item: Series, place_x: Place, place_y: Place) -> Line:
    places = [(place_x(x), place_y(y)) for x, y in zip(item.xs, item.ys, strict=True) if math.isfinite(y)]
    only_points = item.kind.endswith("points")
    path = "M" + "L".join(f"{x:g},{y:g}" for x, y in places) if places and not only_points else ""
    has_markers = only_points or (item.kind != "reference" and len(places) <= MAX_MARKERS)
    whiskers = tuple(
        (place_x(x), place_y(low), place_y(high)) for x, low, high in zip(item.xs, item.lows, item.highs, strict=False)
    )
    return Line(
        name=item.name,
        kind=item.kind,
        path=path,
        markers=tuple(places) if has_markers else (),
        whiskers=whiskers,
    )


def _rows(series: Sequence[Series], x_format: Format, y_format: Format) -> tuple[tuple[str, ...], ...]:
    by_x = [dict(zip(item.xs, item.ys, strict=True)) for item in series]
    xs = sorted({x for points in by_x for x in points})
    return tuple((x_format(x), *(y_format(points[x]) if x in points else MISSING for points in by_x)) for x in xs)


def _series_data(item: Series) -> dict[str, Any]:
    finite = [None if not math.isfinite(y) else y for y in item.ys]
    data: dict[str, Any] = {"name": item.name, "x": list(item.xs), "y": finite}
    if item.lows:
        data |= {"low": list(item.lows), "high": list(item.highs)}
    return data
