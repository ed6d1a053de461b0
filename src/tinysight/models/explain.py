"""A net's summary table, and in words how each row's shape and parameters come about."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers

from tinysight.models.layers import Maxout, SumPooling2D

SUMMARY_WIDTH = 88


def summary_text(net: keras.Model) -> str:
    """Keras's own summary table."""
    lines: list[str] = []
    # Keras draws the table with rich, which would cut it at the width of the terminal.
    with _columns(SUMMARY_WIDTH):
        net.summary(print_fn=lambda text, **_: lines.append(text), line_length=SUMMARY_WIDTH)
    return "\n".join(lines)


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def explain(net: keras.Model) -> list[tuple[str, str]]:
    """(row, words) for each layer: its name, shapes and parameters; and how these come about."""
    rows = []
    for layer in net.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        # What is added is of one shape.
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        before, after = tuple(inputs[0].shape[1:]), tuple(layer.output.shape[1:])
        shapes = f"{_shape(before)} -> {_shape(after)}"
        row = f"{layer.name} ({type(layer).__name__})  {shapes}  {layer.count_params():,} parameters"
        words = _WORDS.get(type(layer), _other)(layer, before, after)
        rows.append((row, words))
    return rows


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _window(layer: Any, before: tuple[int, ...], after: tuple[int, ...], size: int) -> str:
    step = layer.strides[0]
    if before[0] == after[0]:
        return f"{before[0]} stays {after[0]}: zeros around the image let the {size}x{size} window stand on every pixel"
    if layer.padding == "same":
        return f"{before[0]} to {after[0]}: the window moves in steps of {step}, with zeros around the image"
    if step == 1:
        return (
            f"{before[0]} to {after[0]} by a valid {size}x{size} window: it must lie inside the image,"
            f" so {size} - 1 = {size - 1} positions are lost"
        )
    return (
        f"{before[0]} to {after[0]}: a {size}x{size} window in steps of {step}, ({before[0]} - {size}) / {step} + 1,"
        " rounded down"
    )


def _conv(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    size, inputs, filters = layer.kernel_size[0], before[2], after[2]
    bias = 1 if layer.use_bias else 0
    total = (size * size * inputs + bias) * filters
    return (
        f"{_window(layer, before, after, size)}. {total:,} = ({size}x{size}x{inputs}+{bias})x{filters}: each of"
        f" {filters} filters has a weight for every pixel of its window in each of {inputs} channels, and {bias} bias."
    )


def _dense(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    bias = 1 if layer.use_bias else 0
    total = (before[-1] + bias) * after[-1]
    words = f"{total:,} = ({before[-1]}+{bias})x{after[-1]}: each of {after[-1]} units weighs all {before[-1]} inputs,"
    words += f" and {bias} bias."
    if layer.activation is keras.activations.softmax:
        words += " Softmax turns the outputs into probabilities that sum to 1."
    return words


def _pool(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    size = layer.pool_size[0] if isinstance(layer.pool_size, tuple) else layer.pool_size
    kept = {layers.MaxPooling2D: "largest value", layers.AveragePooling2D: "mean", SumPooling2D: "sum"}[type(layer)]
    left_over = before[0] - after[0] * size
    rest = f"; the last {left_over} row and column fit no window and are dropped" if left_over == 1 else ""
    return (
        f"{before[0]} to {after[0]}: of every {size}x{size} pixels the {kept} is kept{rest}."
        " Nothing to learn: 0 parameters."
    )


def _flatten(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    if len(before) < 2:
        return "Already one row of numbers: nothing changes. 0 parameters."
    product = " x ".join(map(str, before))
    return f"{product} = {after[0]:,} numbers in one row for the dense layer that follows. 0 parameters."


def _dropout(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    kept = 1 / (1 - layer.rate)
    return (
        f"While training, each number is set to 0 with probability {layer.rate:g} and the others are multiplied by"
        f" {kept:.3g}; when predicting, nothing happens. 0 parameters."
    )


def _leaky(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    return f"Positive numbers pass, negative ones are multiplied by {layer.negative_slope:g}. 0 parameters."


def _maxout(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    return f"{before[-1]} to {after[-1]} channels: the largest of each {layer.pieces} neighbours is kept. 0 parameters."


def _batchnorm(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    learned = ["a factor"] * layer.scale + ["an offset"] * layer.center
    count = 2 + len(learned)
    words = f"{' and '.join(learned)} that {'is' if len(learned) == 1 else 'are'} learned, and " if learned else ""
    return (
        f"{count * before[-1]:,} = {count}x{before[-1]}: for each channel {words}a mean and a variance that are"
        " followed (these two are not trained)."
    )


def _added(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    return f"{len(layer.input)} images of {_shape(before)} are added, number by number. 0 parameters."


def _other(layer: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    return f"{_shape(before)} to {_shape(after)}; {layer.count_params():,} parameters."


_WORDS: dict[type, Callable[[Any, tuple[int, ...], tuple[int, ...]], str]] = {
    layers.Conv2D: _conv,
    layers.Dense: _dense,
    layers.MaxPooling2D: _pool,
    layers.AveragePooling2D: _pool,
    SumPooling2D: _pool,
    layers.Flatten: _flatten,
    layers.Dropout: _dropout,
    layers.LeakyReLU: _leaky,
    layers.BatchNormalization: _batchnorm,
    layers.Add: _added,
    Maxout: _maxout,
}
