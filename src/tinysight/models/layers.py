"""Layers that Keras lacks. They save, load and export like Keras's own."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tinysight")
class Maxout(keras.layers.Layer):
    """The largest of `pieces` neighbouring channels.

    Input of shape (..., pieces * channels) becomes (..., channels), same dtype; a layer before it makes `pieces`
    times the channels that are wanted.

    Source: Goodfellow et al., Maxout Networks, 2013, https://arxiv.org/abs/1302.4389.

    Args:
        pieces: how many channels share one output.

    Raises:
        ValueError: when the channels cannot be divided by `pieces`.
    """

    def __init__(self, pieces: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pieces = pieces

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[-1] is None or input_shape[-1] % self.pieces:
            raise ValueError(f"Maxout received {input_shape[-1]} channels; expected a multiple of {self.pieces}")

    def call(self, inputs: Any) -> Any:
        channels = inputs.shape[-1] // self.pieces
        # -1 stands for the batch alone, so that it stays free in exported graphs.
        return ops.max(ops.reshape(inputs, (-1, *inputs.shape[1:-1], channels, self.pieces)), axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        channels = input_shape[-1]
        return (*input_shape[:-1], None if channels is None else channels // self.pieces)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pieces": self.pieces}


@keras.saving.register_keras_serializable(package="tinysight")
class SumPooling2D(keras.layers.Layer):
    """The sum over each pooling window: average pooling times the window's area.

    Input of shape (n, height, width, channels) becomes (n, height // pool_size, width // pool_size, channels), same
    dtype.

    Args:
        pool_size: height, width and step of the window.
    """

    def __init__(self, pool_size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = pool_size

    def call(self, inputs: Any) -> Any:
        return ops.average_pool(inputs, self.pool_size, data_format="channels_last") * float(self.pool_size**2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, height, width, channels = input_shape
        return (
            batch,
            None if height is None else height // self.pool_size,
            None if width is None else width // self.pool_size,
            channels,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pool_size": self.pool_size}
