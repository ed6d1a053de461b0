"""Whole epochs as one program, on an accelerator that holds all the images: on JAX alone.

Nothing is sent to the device but the order of an epoch, and no step is begun from Python: on a GPU a step of a small
net takes less time than beginning it does. What a step computes is what it computes elsewhere, `Trainee.train_step`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinysight.images import ImageSet
from tinysight.training.feed import BatchSequence, Feed

# Of the device's memory: weights, gradients and what a step keeps of its batch need the rest.
LARGEST_SHARE = 0.25
# Images on disk are sent so much at a time.
BYTES_PER_PART = 1 << 28
# Ctrl-C and checkpoints wait for a program's end.
IMAGES_PER_PROGRAM = 2_000_000


@dataclass(frozen=True)
class ResidentImages:
    """Images on the device.

    Attributes:
        pixels: uint8 (n, height, width, channels), a JAX array.
        labels: int32 (n,), a JAX array.
        num_classes: of the labels.
        one_hot: whether a step gets labels as one-hot float32 rows.
    """

    pixels: Any
    labels: Any
    num_classes: int
    one_hot: bool

    def look_up(self, order: Any) -> tuple[Any, Any]:
        """What `Feed.look_up` gives, within a program: image i as i, its mirror image as i + n."""
        import jax
        import jax.numpy as jnp

        num_images = self.pixels.shape[0]
        rows = order % num_images
        pixels = self.pixels[rows]
        mirrored = (order >= num_images)[:, None, None, None]
        pixels = jnp.where(mirrored, pixels[:, :, ::-1], pixels)
        labels = self.labels[rows]
        return pixels, jax.nn.one_hot(labels, self.num_classes, dtype="float32") if self.one_hot else labels


def fits_the_device(images: ImageSet) -> bool:
    """Whether an accelerator is there on JAX, one process drives it alone, and the images take little of it."""
    if keras.backend.backend() != "jax" or keras.distribution.distribution() is not None:
        return False
    import jax

    if jax.default_backend() == "cpu":
        return False
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return limit is not None and images.images.nbytes <= LARGEST_SHARE * limit


def put_on_device(feed: Feed) -> ResidentImages:
    """Sends all images of `feed`, once."""
    import jax

    images = feed.images
    return ResidentImages(
        _send(images.images),
        jax.device_put(np.asarray(images.labels, np.int32)),
        images.num_classes,
        feed.one_hot,
    )


def _send(pixels: Any) -> Any:
    """Images on disk in parts that are joined on the device: in memory all of them may have no room."""
    import jax
    import jax.numpy as jnp

    if isinstance(pixels, np.ndarray):
        return jax.device_put(pixels)
    each = max(1, BYTES_PER_PART * len(pixels) // pixels.nbytes)
    starts = range(0, len(pixels), each)
    return jnp.concatenate([jax.device_put(pixels[start : start + each]).block_until_ready() for start in starts])


def steps_per_program(feed: Feed) -> int:
    """A whole epoch, unless that is very long."""
    return max(1, min(feed.num_steps, IMAGES_PER_PROGRAM // feed.batch_size))


class OrderSequence(BatchSequence):
    """Which images each step visits, int32 (batch,), instead of the images: what `fit` takes as x."""

    def __getitem__(self, index: int) -> tuple[NDArray[np.int32]]:  # type: ignore[override]
        return (self.visited(index).astype(np.int32),)


def program(train_step: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Many steps in one: (state, resident images' pixels and labels, order (steps, batch)) to (logs, state).

    Args:
        train_step: Keras's on JAX, (state, data) to (logs, state).
    """
    import jax

    def run(state: Any, images: ResidentImages, order: Any) -> tuple[dict[str, Any], Any]:
        def step(state: Any, visited: Any) -> tuple[Any, Any]:
            logs, state = train_step(state, images.look_up(visited))
            return state, logs

        state, logs = jax.lax.scan(step, state, order)
        return {name: values[-1] for name, values in logs.items()}, state

    _register()
    compiled: Callable[..., tuple[dict[str, Any], Any]] = jax.jit(run, donate_argnums=0)
    return compiled


def train_function(model: keras.Model, images: ResidentImages) -> Callable[[Any, Iterator[Any]], tuple[Any, Any]]:
    """What Keras's `fit` calls for each group of `steps_per_execution` steps of an `OrderSequence`."""
    import jax.numpy as jnp

    run = program(model.train_step)

    def execute(state: Any, iterator: Iterator[Any]) -> tuple[Any, Any]:
        visited = [data[0] for data in itertools.islice(iterator, model.steps_per_execution)]
        if not visited:
            raise StopIteration
        # The last step of an epoch may be a smaller one, which is a program of its own.
        whole = [order for order in visited if len(order) == len(visited[0])]
        logs, state = run(state, images, jnp.stack(whole))
        if len(whole) < len(visited):
            logs, state = run(state, images, jnp.asarray(visited[-1])[None])
        return logs, state

    return execute


def _register() -> None:
    """Tells JAX that `ResidentImages` is two arrays, so that programs take them as arguments and not as constants."""
    import jax

    global _registered
    if not _registered:
        jax.tree_util.register_dataclass(
            ResidentImages, data_fields=["pixels", "labels"], meta_fields=["num_classes", "one_hot"]
        )
        _registered = True


_registered = False
