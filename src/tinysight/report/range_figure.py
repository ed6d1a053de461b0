"""The picture of `tinysight lr-find`: loss over learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinysight.files import atomic_path
from tinysight.report.plots import BLUE, DPI, LINE, ORANGE, QUIET
from tinysight.training.rate_choice import RangeTest, RateChoice, smooth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What tells our pictures from a person's own.
MARK = "tinysight"
# A loss that diverges would press the rest of the curve flat: so many times the loss's fall are shown above its start.
HEADROOM = 0.5


def range_figure(test: RangeTest, choice: RateChoice, title: str) -> Figure:
    """Each step's loss, the smoothed curve, and the suggested rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5))
    axes = figure.add_axes((0.1, 0.12, 0.87, 0.78))
    smoothed = smooth(test.rates, test.losses)
    axes.plot(test.rates, test.losses, ".", color="#9aa0a6", markersize=4, label="each step")
    axes.plot(test.rates, smoothed, color=BLUE, label="smoothed")
    axes.axvline(choice.suggested, color=ORANGE, linestyle="--")
    axes.plot(
        choice.suggested, np.interp(choice.suggested, test.rates, smoothed), "o", color=ORANGE,
        label=f"falls fastest at {choice.suggested:.2g}",
    )  # fmt: skip
    axes.set_xscale("log")
    start, bottom = float(smoothed[0]), float(smoothed.min())
    margin = HEADROOM * (start - bottom)
    axes.set_ylim(bottom - margin / 2, start + margin)
    axes.set_title(title, loc="left")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(color=QUIET)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", frameon=False)
    return figure


def save_range_figure(figure: Figure, path: Path) -> None:
    """Writes PNG or SVG, by the path's ending, whole or not at all; the same figure gives the same bytes."""
    from matplotlib import rc_context

    kind = path.suffix.lower().removeprefix(".")
    metadata = {"Software": MARK} if kind == "png" else {"Creator": MARK, "Date": None}
    with atomic_path(path) as temporary, rc_context({"svg.hashsalt": MARK}):
        figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
