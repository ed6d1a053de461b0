"""The picture of `tinysight bench exports`: size, latency, throughput and accuracy of each format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, QUIET = "#0072B2", "#D55E00", "#5f6368"


def exports_figure(rows: Sequence[dict[str, Any]], processor: str) -> Figure:
    """Four panels of bars, one bar a format; int8 is orange and says so in its name.

    Args:
        rows: as `Row.to_dict` gives them.
        processor: what was measured on, for the foot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.6 + 0.9 * len(rows)), layout="constrained")
    panels = figure.subplots(2, 2, sharey=True).ravel()
    _bars(panels[0], rows, "size, kB", [row["bytes"] / 1000 for row in rows], "{:,.0f}")
    _latency_bars(panels[1], rows)
    _bars(panels[2], rows, "images/s in batches of 256", [row["images_per_second"] for row in rows], "{:,.0f}")
    _bars(panels[3], rows, "accuracy, %", [100 * row["accuracy"] for row in rows], "{:.2f}")
    # Shared by all panels: the first format on top.
    panels[0].invert_yaxis()
    figure.supxlabel(f"{processor}; times vary with whatever else the machine does", fontsize=9, color=QUIET)
    return figure


def _bars(axes: Axes, rows: Sequence[dict[str, Any]], title: str, values: Sequence[float], number: str) -> None:
    bars = axes.barh(range(len(rows)), values, color=_colours(rows), height=0.6)
    axes.bar_label(bars, [number.format(value) for value in values], padding=4, fontsize=9)
    _dress(axes, rows, title)


def _latency_bars(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    median = [row["p50_ms"] for row in rows]
    beyond = [row["p99_ms"] - row["p50_ms"] for row in rows]
    bars = axes.barh(
        range(len(rows)), median, xerr=([0.0] * len(rows), beyond), color=_colours(rows), ecolor=QUIET, height=0.6
    )
    texts = [f"{row['p50_ms']:.2f}; {row['p99_ms']:.2f}" for row in rows]
    axes.bar_label(bars, texts, padding=4, fontsize=9)
    _dress(axes, rows, "one image, ms: median; 99th percentile")


def _colours(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [ORANGE if row["quantize"] else BLUE for row in rows]


def _dress(axes: Axes, rows: Sequence[dict[str, Any]], title: str) -> None:
    axes.set_yticks(range(len(rows)), [row["runtime"] for row in rows])
    axes.set_title(title, loc="left", fontsize=11)
    axes.margins(x=0.2)
    axes.spines[["top", "right"]].set_visible(False)
