"""Convolutions over small feature maps whose kernel gradients take less time in bfloat16; for training only."""

from __future__ import annotations

from typing import Any

import keras

# Maps of this width and less are laid side by side, up to so many columns.
LARGEST_WIDTH, COLUMNS = 8, 32


class PackedConv2D(keras.layers.Conv2D):
    """Keras's layer with the same weights; on TensorFlow in bfloat16 its kernel gradient sees several images as one.

    Of 7 x 7 and 3 x 3 maps with 256 channels, TensorFlow's own takes two and a half to four times as long as the
    convolution: its rows are short, and the whole kernel seems to be gone through for each. With the maps of several
    images side by side, a column of zeros between them, it takes 2.1 and 3.2 times less with AMX and 1.2 and 1.6 times
    less with AVX-512's instructions for bfloat16 (batch 200); in float32 it would take longer. The numbers are the same
    but for the order in which they are added.

    Input: (n, height, width, channels). Only kernels of odd size with strides of 1 and padding "same" are packed.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """As Keras calls it."""
        if not self._is_packed(inputs):
            return super().convolution_op(inputs, kernel)
        return _convolve(inputs, keras.ops.cast(kernel, inputs.dtype))

    def _is_packed(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and keras.backend.standardize_dtype(inputs.dtype) == "bfloat16"
            and self.data_format == "channels_last"
            and self.padding == "same"
            and all(size % 2 for size in self.kernel_size)
            and {*self.strides, *self.dilation_rate, self.groups} == {1}
            and None not in inputs.shape[1:3]
            and self.kernel_size[1] // 2 < inputs.shape[2] <= LARGEST_WIDTH
            and not on_gpu()
        )


def on_gpu() -> bool:
    """Whether TensorFlow computes on a GPU here."""
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


def _convolve(inputs: Any, kernel: Any) -> Any:
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(inputs: Any, kernel: Any) -> Any:
        def gradients(slopes: Any) -> tuple[Any, Any]:
            to_inputs = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs),
                filter=kernel,
                out_backprop=slopes,
                strides=[1, 1, 1, 1],
                padding="SAME",
            )
            return to_inputs, kernel_gradient(inputs, slopes, kernel.shape)

        return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradients

    return convolve(inputs, kernel)


def kernel_gradient(inputs: Any, slopes: Any, kernel_shape: Any) -> Any:
    """How the loss changes with the kernel of a convolution with strides of 1 and padding "same".

    Args:
        inputs: a tensor of TensorFlow, shape (n, height, width, channels).
        slopes: how the loss changes with the outputs, shape (n, height, width, filters), dtype of the inputs.
        kernel_shape: (rows, columns, channels, filters), odd numbers of rows and columns.

    Returns:
        Shape `kernel_shape`, dtype of the inputs.
    """
    import tensorflow as tf

    gap = kernel_shape[1] // 2
    num_maps = max(1, COLUMNS // (inputs.shape[2] + gap))
    return tf.raw_ops.Conv2DBackpropFilter(
        input=_side_by_side(inputs, num_maps, gap),
        filter_sizes=kernel_shape,
        out_backprop=_side_by_side(slopes, num_maps, gap),
        strides=[1, 1, 1, 1],
        padding="SAME",
    )


def _side_by_side(images: Any, num_maps: int, gap: int) -> Any:
    """`num_maps` images in one: (n / num_maps rounded up, height, num_maps * (width + gap), channels).

    Gaps are zeros, as are the images that are missing at the end.
    """
    import tensorflow as tf

    _, height, width, channels = images.shape
    num_rows = -(-tf.shape(images)[0] // num_maps)
    missing = num_rows * num_maps - tf.shape(images)[0]
    images = tf.pad(images, [[0, missing], [0, 0], [0, 0], [0, 0]])
    zeros = tf.zeros((num_rows, height, gap, channels), images.dtype)
    # Splits between whole images are not copied, so that only putting them together is.
    joined = tf.concat([piece for part in tf.split(images, num_maps) for piece in (part, zeros)], axis=2)
    return tf.ensure_shape(joined, (None, height, num_maps * (width + gap), channels))
