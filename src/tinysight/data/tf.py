"""Images as a `tf.data.Dataset`, for those who write their own training loop on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.images import ImageSet

# Images that one call into Python gathers: enough that the call is cheap, few enough that two of them fit anywhere.
_BLOCK_IMAGES, _BLOCK_BYTES = 8192, 16 << 20


def as_tf_dataset(
    images: ImageSet,
    batch_size: int = 128,
    *,
    shuffle: bool = True,
    seed: int = 0,
    augment: Callable[[Any], Any] | None = None,
    drop_remainder: bool = False,
) -> Any:
    """Batches of raw pixels and labels, shuffled over all images anew in every pass, prefetched.

    Memory is bounded by a few blocks of 16 MB however many images there are: those on disk are read as they come.

    Args:
        images: as `tinysight.data.source.load_data` gives them, in memory or on disk.
        batch_size: images a step.
        shuffle: whether every pass has its own order; else the order is that of `images`.
        seed: of the orders; the same seed gives the same ones, pass by pass.
        augment: a function of TensorFlow's from a batch of pixels, uint8 (n, height, width, channels), to one; it runs
            in parallel with the training step. None for none.
        drop_remainder: whether a last batch with fewer images is left out.

    Returns:
        a `tf.data.Dataset` of (uint8 (n, height, width, channels), int32 (n,)) of known length.

    Raises:
        InvalidValueError: when the batch size or the seed is out of range.
    """
    if batch_size < 1 or seed < 0:
        raise InvalidValueError(f"batch size is {batch_size} and seed {seed}; expected a size from 1 and a seed from 0")
    orders = _Orders(len(images), seed if shuffle else None)
    block = batch_size * max(1, _block_images(images) // batch_size)
    dataset = tf.data.Dataset.range(1).flat_map(lambda _: _rows(orders)).batch(block)
    dataset = dataset.map(_gather(images)).prefetch(2).flat_map(_cut(batch_size, drop_remainder))
    if augment is not None:
        dataset = dataset.map(lambda pixels, labels: (augment(pixels), labels), num_parallel_calls=tf.data.AUTOTUNE)
    num_batches = len(images) // batch_size if drop_remainder else -(-len(images) // batch_size)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.apply(tf.data.experimental.assert_cardinality(num_batches)).prefetch(4).with_options(options)


class _Orders:
    """The order of one pass after another."""

    def __init__(self, num_images: int, seed: int | None) -> None:
        self._num_images, self._seed, self._num_passes = num_images, seed, 0

    def next(self) -> NDArray[np.int64]:
        if self._seed is None:
            return np.arange(self._num_images)
        key = [self._seed, self._num_passes]
        self._num_passes += 1
        return np.random.Generator(np.random.Philox(key=key)).permutation(self._num_images)


def _block_images(images: ImageSet) -> int:
    height, width, channels = images.image_shape
    return min(_BLOCK_IMAGES, _BLOCK_BYTES // (height * width * channels))


def _rows(orders: _Orders) -> Any:
    # One call into Python a pass.
    rows = tf.numpy_function(orders.next, [], tf.int64, stateful=True)
    rows.set_shape([None])
    return tf.data.Dataset.from_tensor_slices(rows)


def _gather(images: ImageSet) -> Callable[[Any], Any]:
    def look_up(rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        return images.images[rows], images.labels[rows].astype(np.int32)

    def gather(rows: Any) -> Any:
        pixels, labels = tf.numpy_function(look_up, [rows], (tf.uint8, tf.int32), stateful=False)
        pixels.set_shape([None, *images.image_shape])
        labels.set_shape([None])
        return pixels, labels

    return gather


def _cut(batch_size: int, drop_remainder: bool) -> Callable[[Any, Any], Any]:
    def cut(pixels: Any, labels: Any) -> Any:
        # One slice a batch; from_tensor_slices would make and stack a tensor an image.
        num_images = tf.shape(labels, tf.int64)[0]
        stop = num_images - num_images % batch_size if drop_remainder else num_images
        starts = tf.data.Dataset.range(0, stop, batch_size)
        return starts.map(lambda at: (pixels[at : at + batch_size], labels[at : at + batch_size]))

    return cut
