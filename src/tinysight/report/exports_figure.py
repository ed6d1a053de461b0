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
    _bars(panels[1], rows, "one image, ms: median; line to the 99th percentile", *_latency(rows))
    _bars(panels[2], rows, "images/s in batches of 256", [row["images_per_second"] for row in rows], "{:,.0f}")
    _bars(panels[3], rows, "accuracy, %", [100 * row["accuracy"] for row in rows], "{:.2f}")
    _reach_99th(panels[1], rows)
    figure.supxlabel(f"{processor}; times vary with whatever else the machine does", fontsize=9, color=QUIET)
    return figure


def _latency(rows: Sequence[dict[str, Any]]) -> tuple[list[float], str]:
    return [row["p50_ms"] for row in rows], "{:.2f}"


def _bars(axes: Axes, rows: Sequence[dict[str, Any]], title: str, values: Sequence[float], number: str) -> None:
    places = range(len(rows))
    bars = axes.barh(places, values, color=[ORANGE if row["quantize"] else BLUE for row in rows], height=0.6)
    axes.bar_label(bars, [number.format(value) for value in values], padding=4, fontsize=9)
    axes.set_yticks(places, [row["runtime"] for row in rows])
    axes.set_title(title, loc="left", fontsize=11)
    axes.margins(x=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def _reach_99th(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    for place, row in enumerate(rows):
        axes.plot([row["p50_ms"], row["p99_ms"]], [place - 0.22] * 2, color=QUIET, linewidth=2)
    # Shared by all panels: the first format on top.
    axes.invert_yaxis()
