"""The images of an epoch, in an order that is a function of seed and epoch alone.

The images stay one uint8 array, in memory or mapped from a file; scaling and augmentation happen in the compiled step,
so a batch is a look-up of rows, and what lies in memory beside the array is a few blocks of batches.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinysight.images import ImageSet
from tinysight.training.balance import balanced_order

# Rows are looked up so many images at a time: a call into Python costs about 0.1 ms, a block of 2,048 about 2 ms.
BLOCK_IMAGES = 2048


def epoch_order(num_images: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order in which epoch `epoch` (from 0) visits the images: int64, shape (num_images,)."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_images)


class Feed:
    """Batches of raw pixels and labels for Keras's `fit`.

    Args:
        images: where the images lie.
        rows: int64, which of them to visit; None for all.
        batch_size: images a step; the last step of an epoch takes what is left.
        seed: of the order; None for the order in which the images lie.
        one_hot: whether labels are given as one-hot float32 rows rather than int32 indices.
        alternate: whether to mirror every image in every second epoch, half of them in even ones and half in odd ones.
            Source: Jordan, 94 % on CIFAR-10 in 3.29 seconds, 2024, https://arxiv.org/abs/2404.00498.
        balanced: whether an epoch draws as many images of each class, rather than each image once.
        known_size: whether the compiled step may know how many images a batch has, where each has as many: some
            hundredths of a small net's time. TensorFlow then plans memory by it, and adds up three large tensors and
            more as they come: bits would depend on that where a layer's output goes into three others.

    Attributes:
        epoch: the epoch that is read next, from 0.
        skip: steps of that epoch that were done before, by a training that is resumed.
        stop: steps after which that epoch ends, or None for all of them.
    """

    def __init__(
        self,
        images: ImageSet,
        *,
        batch_size: int,
        seed: int | None,
        one_hot: bool,
        rows: NDArray[np.int64] | None = None,
        alternate: bool = False,
        balanced: bool = False,
        known_size: bool = True,
    ) -> None:
        self.images, self.batch_size, self.seed, self.one_hot = images, batch_size, seed, one_hot
        self.rows = rows
        self.alternate, self.balanced, self.known_size = alternate, balanced, known_size
        self.epoch = 0
        self.skip = 0
        self.stop: int | None = None

    @property
    def num_images(self) -> int:
        return len(self.images) if self.rows is None else len(self.rows)

    @property
    def num_steps(self) -> int:
        """Steps a whole epoch."""
        return -(-self.num_images // self.batch_size)

    def order(self) -> NDArray[np.int64]:
        """What the epoch still visits, in its order: image i as i, its mirror image as i + number of images."""
        order = self._whole_order()
        if self.rows is not None:
            order = self.rows[order]
        if self.alternate:
            order = order + len(self.images) * ((order + self.epoch) % 2)
        return order[self.skip * self.batch_size : None if self.stop is None else self.stop * self.batch_size]

    def _whole_order(self) -> NDArray[np.int64]:
        if self.seed is None:
            return np.arange(self.num_images)
        if self.balanced:
            labels = self.images.labels
            return balanced_order(labels if self.rows is None else labels[self.rows], self.seed, self.epoch)
        return epoch_order(self.num_images, self.seed, self.epoch)

    @property
    def num_steps_left(self) -> int:
        """Steps that the epoch still has."""
        return (self.num_steps if self.stop is None else self.stop) - self.skip

    def look_up(self, order: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Pixels, uint8 (n, height, width, channels), and labels, int32 (n,) or float32 (n, num_classes)."""
        mirrored, rows = order >= len(self.images), order % len(self.images)
        pixels = self.images.images[rows]
        if self.alternate:
            # Pixel by pixel, in less than half of the time that value by value would take.
            whole = pixels.view(f"V{pixels.shape[3]}")[..., 0]
            whole[mirrored] = whole[mirrored][:, :, ::-1]
        labels = self.images.labels[rows]
        return pixels, np.eye(self.images.num_classes, dtype=np.float32)[labels] if self.one_hot else labels

    def for_backend(self) -> Any:
        """What `fit` takes as x: a `tf.data.Dataset` on TensorFlow, a `PyDataset` elsewhere."""
        return _tf_dataset(self) if keras.backend.backend() == "tensorflow" else BatchSequence(self)


def _tf_dataset(feed: Feed) -> Any:
    import tensorflow as tf

    size = feed.batch_size
    label_type = tf.float32 if feed.one_hot else tf.int32
    image_shape, label_shape = feed.images.image_shape, [feed.images.num_classes] if feed.one_hot else []

    # Rewriting these, which have no branches, for a graph would take a tenth of a second.
    as_it_is = tf.autograph.experimental.do_not_convert

    def order() -> tuple[Any, Any]:
        """That of the whole batches, a row each, and of what is left."""
        indices = tf.numpy_function(feed.order, [], tf.int64, stateful=True)
        num_whole = tf.size(indices) // size * size
        return tf.reshape(indices[:num_whole], [-1, size]), tf.reshape(indices[num_whole:], [-1])

    @as_it_is
    def whole(_: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices(order()[0])

    @as_it_is
    def left(_: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices(order()[1])

    def look_up(indices: Any) -> Any:
        pixels, labels = tf.numpy_function(feed.look_up, [indices], (tf.uint8, label_type), stateful=False)
        pixels.set_shape([None, *image_shape])
        labels.set_shape([None, *label_shape])
        return pixels, labels

    @as_it_is
    def batches(rows: Any) -> Any:
        pixels, labels = look_up(tf.reshape(rows, [-1]))
        return tf.reshape(pixels, [-1, size, *image_shape]), tf.reshape(labels, [-1, size, *label_shape])

    # A block of batches is parted by one operation. A function that cuts batch after batch, and batches whose size
    # is not known to the compiled step, each take some hundredths of a small net's time.
    rows = tf.data.Dataset.range(1).flat_map(whole).batch(max(1, BLOCK_IMAGES // size))
    dataset = rows.map(batches).prefetch(2).unbatch()
    if feed.num_images % size or not feed.known_size:
        dataset = dataset.concatenate(tf.data.Dataset.range(1).flat_map(left).batch(size).map(as_it_is(look_up)))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(feed.num_steps_left))
    options = tf.data.Options()
    options.deterministic = True
    # Nothing here is left to be tuned, and the tuner's thread may miss that it is to end: whoever lets go of a begun
    # epoch then waits until it looks again, 8 seconds after 14 of training.
    options.autotune.enabled = False
    return dataset.prefetch(16).with_options(options)


class BatchSequence(keras.utils.PyDataset):
    """The same batches for backends that take NumPy arrays."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed
        self.read_epoch, self.read_order = -1, np.zeros(0, np.int64)

    @property
    def num_batches(self) -> int:
        return self.feed.num_steps_left

    def visited(self, index: int) -> NDArray[np.int64]:
        """Which images batch `index` of the epoch visits, as in `Feed.order`."""
        if self.read_epoch != self.feed.epoch:
            self.read_epoch, self.read_order = self.feed.epoch, self.feed.order()
        size = self.feed.batch_size
        return self.read_order[index * size : (index + 1) * size]

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        return self.feed.look_up(self.visited(index))
