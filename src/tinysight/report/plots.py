"""The pictures of a run as PNG files, with matplotlib.

Every figure is its own function that returns a matplotlib Figure; `write_plots` draws those of a run. pyplot is never
imported and a person's matplotlib settings neither matter nor change. Colours are of Okabe and Ito, "Color universal
design" (https://jfly.uni-koeln.de/color/), and none of them says alone what a sign or a number does not say too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinysight.evaluation.predictions import Predictions
from tinysight.files import atomic_path, read_json
from tinysight.images import ImageSet, spread_evenly
from tinysight.metrics.counts import confusion_matrix, normalized_by_true, predicted_classes
from tinysight.report.labels import PlotFont, shorten, text_width
from tinysight.runs import Run
from tinysight.training.history import Row, read_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, INK, QUIET, LINE = "#0072B2", "#C65400", "#1b1b1b", "#5f6368", "#d5d8dc"
# What data.json says about validation -> what its curve is called.
VALIDATION_NAMES = {"train": "validation (held out)", "validation": "validation", "test": "test split"}
DPI = 100
# Up to so many classes a cell of a confusion matrix has room for its number, or an axis for every name.
MAX_NUMBERED, MAX_NAMED = 20, 100
NUM_SAMPLES, SAMPLE_COLUMNS = 15, 3
_STYLE = {
    "font.size": 11.0,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 13.0,
    "axes.titlepad": 12.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
}


def write_plots(run: Run, test: ImageSet, predictions: Predictions, *, metric: str) -> None:
    """Draws curves, confusion matrices and sample predictions into the run's plots folder.

    Args:
        run: a run with its history and data description written.
        test: the test images.
        predictions: of these, in their order.
        metric: the history's name of what was followed beside the loss.
    """
    write_curves(run, metric=metric)
    for draw in answers(run, *samples_of(test, predictions), confusion_of(test, predictions)):
        draw()


def confusion_of(test: ImageSet, predictions: Predictions) -> NDArray[np.int64]:
    """Counts, shape (classes, classes), row = true class, column = predicted class."""
    return confusion_matrix(predictions.labels, predicted_classes(predictions.probabilities), test.num_classes)


def samples_of(test: ImageSet, predictions: Predictions) -> tuple[ImageSet, Predictions]:
    """The few images that are shown, spread over the split, and what the model said of them."""
    shown = spread_evenly(len(test), NUM_SAMPLES)
    said = Predictions(probabilities=predictions.probabilities[shown], labels=predictions.labels[shown])
    return test.take(shown), said


def write_curves(run: Run, *, metric: str) -> None:
    """Draws what the run's history shows: accuracy, loss and learning rate over epochs."""
    from matplotlib import style

    rows = read_history(run.history)
    validation = VALIDATION_NAMES.get(read_json(run.data)["validation"], "validation")
    with style.context(["default", _STYLE]):
        save(accuracy_figure(rows, metric, validation), run.plots / "accuracy.png")
        save(loss_figure(rows, validation), run.plots / "loss.png")
        save(learning_rate_figure(rows), run.plots / "learning_rate.png")


def answers(
    run: Run, images: ImageSet, predictions: Predictions, confusion: NDArray[np.integer]
) -> tuple[Callable[[], None], ...]:
    """Functions that each draw one picture of what the model says: confusion matrices, a few images with scores.

    Args:
        run: whose plots folder they go into.
        images: those that are shown.
        predictions: of these, in their order.
        confusion: counts, shape (classes, classes), row = true class, column = predicted class.
    """
    names = images.class_names
    figures: dict[str, Callable[[], Figure]] = {
        "confusion.png": partial(confusion_figure, confusion, names),
        "confusion_normalized.png": partial(confusion_figure, confusion, names, normalized=True),
        "samples.png": partial(samples_figure, images, predictions),
    }
    return tuple(partial(_draw, figure, run.plots / name) for name, figure in figures.items())


def _draw(figure: Callable[[], Figure], path: Path) -> None:
    from matplotlib import style

    with style.context(["default", _STYLE]):
        save(figure(), path)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, whole or not at all; the same figure gives the same bytes."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": "tinysight"})


def accuracy_figure(rows: Sequence[Row], metric: str, validation: str = "validation") -> Figure:
    """Accuracy in percent over epochs, of training and, where it was measured, of `validation`."""
    from matplotlib.ticker import PercentFormatter

    figure, axes = _curves_figure("Accuracy")
    _draw_curves(axes, rows, metric, validation)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))
    if len(rows) == 1:
        # Around a single point, matplotlib's own range is a tenth of it.
        axes.set_ylim(0, 1.02)
    return figure


def loss_figure(rows: Sequence[Row], validation: str = "validation") -> Figure:
    """Loss over epochs, of training and, where it was measured, of `validation`."""
    figure, axes = _curves_figure("Loss")
    _draw_curves(axes, rows, "loss", validation)
    if len(rows) == 1 or axes.get_ylim()[0] < 0:
        axes.set_ylim(bottom=0)
    return figure


def learning_rate_figure(rows: Sequence[Row]) -> Figure:
    """The learning rate with which each epoch began."""
    figure, axes = _curves_figure("Learning rate at the start of each epoch")
    epochs, values = column(rows, "learning_rate")
    axes.plot(epochs, values, color=BLUE, marker="o", markersize=_marker_size(epochs))
    axes.set_ylim(0, 1.08 * max(values, default=1.0) or 1.0)
    return figure


def column(rows: Sequence[Row], name: str) -> tuple[list[float], list[float]]:
    """Epochs and values of one column of a history; epochs that lack it are left out."""
    present = [row for row in rows if name in row]
    return [row["epoch"] for row in present], [row[name] for row in present]


def _curves_figure(title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 5))
    axes = figure.add_axes((0.1, 0.12, 0.87, 0.78))
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _draw_curves(axes: Axes, rows: Sequence[Row], name: str, validation: str) -> None:
    epochs, values = column(rows, name)
    axes.plot(epochs, values, color=BLUE, marker="o", markersize=_marker_size(epochs), label="training")
    epochs, values = column(rows, f"val_{name}")
    if epochs:
        size = _marker_size(epochs)
        axes.plot(epochs, values, color=ORANGE, linestyle="--", marker="s", markersize=size, label=validation)
    axes.legend(loc="best")


def _marker_size(epochs: Sequence[float]) -> float:
    # Points say where the epochs are; over many epochs they would cover the curve.
    return 5.0 if len(epochs) <= 40 else 0.0


def confusion_figure(matrix: NDArray[np.integer], class_names: Sequence[str], *, normalized: bool = False) -> Figure:
    """A confusion matrix: right ones in blue on the diagonal, mistakes in orange on a scale of their own.

    On one common scale the diagonal of a good model leaves every mistake white.

    Args:
        matrix: integers, shape (classes, classes), row = true class, column = predicted class.
        class_names: one name per class.
        normalized: whether to show each row in percent of its true class instead of counts.
    """
    from matplotlib.figure import Figure

    values = 100 * normalized_by_true(matrix) if normalized else matrix.astype(np.float64)
    num_classes = len(values)
    is_numbered = num_classes <= MAX_NUMBERED
    side = min(max(3.6, 0.62 * num_classes), 11.5)
    size = 11.0 if is_numbered else max(6.0, 11.0 - num_classes / 20)
    font = PlotFont()
    names = [shorten(font.drawable(name, index)) for index, name in enumerate(class_names)]
    # Margins by hand: matplotlib's layout engines draw everything twice.
    left, top, right = 0.7 + max(map(text_width, names)) * size / 72, 0.6, 0.25 if is_numbered else 1.4
    bottom = left if _slanted(names) else 0.95
    width, height = left + side + right, bottom + side + top
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    axes.set_title("Confusion matrix, " + ("% of each true class" if normalized else "number of images"))
    highest = _draw_cells(axes, values)
    if is_numbered:
        _number_cells(axes, values, highest, "{:.1f}" if normalized else "{:.0f}")
    else:
        _draw_scales(figure, highest, "%" if normalized else "images", (left + side + 0.2) / width, 0.18 / width)
    _name_classes(axes, names, size, font, left)
    return figure


def _slanted(names: Sequence[str]) -> bool:
    """Whether the names stand upright along the lower edge, as long ones do."""
    return any(len(name) > 3 for name in names)


def _draw_cells(axes: Axes, values: NDArray[np.float64]) -> tuple[float, float]:
    """Draws the cells and returns what the darkest orange and the darkest blue stand for."""
    diagonal = np.eye(len(values), dtype=bool)
    highest = (float(values[~diagonal].max()) or 1.0, float(values[diagonal].max()) or 1.0)
    colours = np.where(
        diagonal[..., None], _ramp(BLUE)(values / highest[True]), _ramp(ORANGE)(np.minimum(values / highest[False], 1))
    )
    axes.imshow(colours, interpolation="nearest", aspect="auto")
    edges = np.arange(len(values) + 1) - 0.5
    is_numbered = len(values) <= MAX_NUMBERED
    if is_numbered:
        axes.hlines(edges, edges[0], edges[-1], color=LINE, linewidth=0.8)
        axes.vlines(edges, edges[0], edges[-1], color=LINE, linewidth=0.8)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(edges[-1], edges[0]))
    axes.spines[:].set_visible(not is_numbered)
    return highest


def _ramp(colour: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ramp", ["#ffffff", colour])


def _draw_scales(figure: Figure, highest: tuple[float, float], unit: str, left: float, width: float) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    for name, is_right, colour, bottom in (("right", True, BLUE, 0.6), ("wrong", False, ORANGE, 0.2)):
        scale = ScalarMappable(Normalize(0, highest[is_right]), _ramp(colour))
        bar = figure.colorbar(scale, cax=figure.add_axes((left, bottom, width, 0.3)))
        bar.set_label(f"{name} ({unit})")
        bar.locator = MaxNLocator(5, integer=unit == "images")


def _number_cells(axes: Axes, values: NDArray[np.float64], highest: tuple[float, float], form: str) -> None:
    size = min(11.0, 50.0 / len(form.format(values.max())))
    for (row, col), value in np.ndenumerate(values):
        # White on the darkest cells only; an empty cell stays quiet.
        dark = value > (0.5 if row == col else 0.75) * highest[row == col]
        colour = "white" if dark else (INK if value else "#9aa0a6")
        text = form.format(value) if value else "0"
        axes.text(col, row, text, ha="center", va="center", color=colour, fontsize=size)


def _name_classes(axes: Axes, names: Sequence[str], size: float, font: PlotFont, margin: float) -> None:
    step = -(-len(names) // MAX_NAMED)
    style: dict[str, Any] = {"fontsize": size, "parse_math": False, "family": font.families}
    below: dict[str, Any] = {"ha": "center", "va": "top", "rotation": 90 if _slanted(names) else 0}
    last = len(names) - 0.5
    # A gap of 6 points, in classes; texts are much cheaper to draw than ticks.
    gap = 6 / 72 * len(names) / (axes.get_position().height * axes.figure.get_figheight())  # type: ignore[union-attr]
    for index in range(0, len(names), step):
        axes.text(-0.5 - gap, index, names[index], ha="right", va="center", **style)
        axes.text(index, last + gap, names[index], **below, **style)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel("predicted class", labelpad=72 * (margin - 0.55 if _slanted(names) else 0.4))
    axes.set_ylabel("true class", labelpad=72 * (margin - 0.45))


def samples_figure(images: ImageSet, predictions: Predictions) -> Figure:
    """Images with what the model said: class, score, true class, and a bar for the score of every class.

    In the manner of https://www.tensorflow.org/tutorials/keras/classification; right ones carry a tick and are blue,
    wrong ones a cross and are orange, with the true class in blue among the bars.

    Args:
        images: those that were predicted, in the same order.
        predictions: probabilities of shape (n, classes) and labels.
    """
    from matplotlib.figure import Figure

    num_shown = len(images)
    num_rows = max(1, -(-num_shown // SAMPLE_COLUMNS))
    figure = Figure(figsize=(10, 0.5 + 2.15 * num_rows))
    # One pair of axes for all: thirty would take five times as long to draw.
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    axes.set_axis_off()
    font = PlotFont()
    names = [font.drawable(name, index) for index, name in enumerate(images.class_names)]
    for place in range(num_shown):
        row, col = divmod(place, SAMPLE_COLUMNS)
        corner = (col * _CELL_WIDTH, -row * _CELL_HEIGHT)
        label, scores = int(predictions.labels[place]), predictions.probabilities[place]
        _draw_sample(axes, corner, np.asarray(images.images[place]), label, scores, names, font)
    bottom = -(num_rows - 1) * _CELL_HEIGHT - 0.58
    key = _key(names)
    axes.text(0, bottom, key, va="top", fontsize=9, color=QUIET, parse_math=False, family=font.families)
    axes.set(xlim=(0, SAMPLE_COLUMNS * _CELL_WIDTH - 0.3), ylim=(bottom - 0.12 * (1 + key.count("\n")), 1.05))
    return figure


# A cell of the samples is an image of side 1, its caption below and its bars beside it.
_CELL_WIDTH, _CELL_HEIGHT, _BARS_LEFT, _BARS_WIDTH = 2.5, 1.58, 1.12, 1.0


def _draw_sample(
    axes: Axes,
    corner: tuple[float, float],
    image: NDArray[np.uint8],
    label: int,
    scores: NDArray[np.float32],
    names: Sequence[str],
    font: PlotFont,
) -> None:
    left, bottom = corner
    said = int(np.argmax(scores))
    colour, sign = (BLUE, "✓") if said == label else (ORANGE, "✗")
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.shape[2] == 1 else {}
    shown = image[..., 0] if image.shape[2] == 1 else image
    axes.imshow(shown, extent=(left, left + 1, bottom, bottom + 1), interpolation="nearest", aspect="auto", **grey)
    style: dict[str, Any] = {"va": "top", "fontsize": 10, "parse_math": False, "family": font.families}
    answer = f"{sign} {shorten(names[said], 18)} {100 * scores[said]:.0f} %"
    axes.text(left, bottom - 0.13, answer, color=colour, **style)
    axes.text(left, bottom - 0.29, f"   true: {shorten(names[label], 18)}", color=QUIET, **style)
    _draw_bars(axes, left + _BARS_LEFT, bottom, scores, {said: colour} | {label: BLUE})


def _draw_bars(axes: Axes, left: float, bottom: float, scores: NDArray[np.float32], marked: dict[int, str]) -> None:
    width = _BARS_WIDTH / len(scores)
    edges = left + width * np.arange(len(scores) + 1)
    axes.stairs(bottom + scores, edges, baseline=bottom, fill=True, color="#9aa0a6")
    axes.hlines([bottom, bottom + 1], left, left + _BARS_WIDTH, color=LINE, linewidth=0.8, zorder=0)
    for index, colour in marked.items():
        axes.stairs([bottom + scores[index]], edges[index : index + 2], baseline=bottom, fill=True, color=colour)
    for index in range(len(scores)) if len(scores) <= 10 else marked:
        style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 7, "color": marked.get(index, QUIET)}
        axes.text(edges[index] + width / 2, bottom - 0.04, str(index), **style)


def _key(names: Sequence[str]) -> str:
    """What the numbers under the bars stand for; nothing when the classes are called by them, or are too many."""
    import textwrap

    if len(names) > MAX_NUMBERED or list(names) == [str(index) for index in range(len(names))]:
        return ""
    parts = [f"{index} {shorten(name)}".replace(" ", "\N{NO-BREAK SPACE}") for index, name in enumerate(names)]
    return "\n".join(textwrap.wrap("   ".join(parts), 130, break_long_words=False, break_on_hyphens=False))
