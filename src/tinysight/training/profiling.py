"""Where the time of a training step goes: its parts, compiled and timed one by one on real batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from tinysight.training.feed import Feed
from tinysight.training.trainee import Trainee

# Batches that are timed, after one that compiles.
NUM_TIMED = 20


@dataclass(frozen=True, kw_only=True)
class StepProfile:
    """Medians over some steps, milliseconds a step.

    Attributes:
        batch_size: images a step.
        reading: looking up the images of a batch; it runs beside the step, and costs time only where it is slower.
        augmenting: scaling, mirroring, shifting and blanking.
        forward: the net's outputs and the loss.
        backward: the gradients.
        updating: the optimizer.
    """

    batch_size: int
    reading: float
    augmenting: float
    forward: float
    backward: float
    updating: float

    @property
    def step(self) -> float:
        """A whole step, images at hand, milliseconds."""
        return self.augmenting + self.forward + self.backward + self.updating

    def to_dict(self) -> dict[str, float]:
        """For the run's environment file."""
        return {**asdict(self), "step": self.step}

    def words(self) -> str:
        """A few lines for a person."""
        parts = [
            ("scaling and augmentation", self.augmenting),
            ("forward pass and loss", self.forward),
            ("backward pass", self.backward),
            ("optimizer", self.updating),
        ]
        lines = [
            f"a step of {self.batch_size} images takes {self.step:.1f} ms"
            f" ({1000 * self.batch_size / self.step:,.0f} images/s):"
        ]
        lines += [f"  {value / self.step:4.0%}  {value:7.2f} ms  {name}" for name, value in parts]
        lines.append(self._reading_words())
        largest = max(parts, key=lambda part: part[1])[0]
        lines.append(f"most of it is the {largest}: {ADVICE[largest]}")
        return "\n".join(lines)

    def _reading_words(self) -> str:
        if self.reading <= self.step:
            return f"reading a batch takes {self.reading:.2f} ms beside it, so the net never waits for images"
        return f"reading a batch takes {self.reading:.2f} ms, longer than the step: the net waits for images"


ADVICE = {
    "scaling and augmentation": "translate and cutout cost more than flip",
    "forward pass and loss": "narrower layers, earlier pooling or a larger stem_strides make it cheaper",
    "backward pass": "narrower layers, earlier pooling or a larger stem_strides make it cheaper",
    "optimizer": "a larger batch_size spreads it over more images",
}


def profile_step(trainee: Trainee, feed: Feed, num_timed: int = NUM_TIMED) -> StepProfile:
    """Times the parts of a step of `trainee`; its weights are put back afterwards.

    A part's time is the difference between two compiled functions of which one does it and the other does not, so that
    nothing is counted twice; noise can make a small part come out as nothing.

    Args:
        trainee: compiled, on any backend.
        feed: whose batches are used, those of its next epoch.
        num_timed: batches each part is timed on; the median counts.
    """
    order = feed.order()
    size = feed.batch_size
    starts = [i * size for i in range(num_timed) if (i + 1) * size <= len(order)] or [0]
    batches = [feed.look_up(order[start : start + size]) for start in starts]
    reading = _median([partial(feed.look_up, order[start : start + size]) for start in starts])
    kept = [keras.ops.convert_to_numpy(variable) for variable in _state(trainee)]
    functions = _functions(trainee)
    totals = []
    for function in functions:
        np.asarray(function(*batches[0]))  # Compiles.
        calls = [partial(function, *batches[number % len(batches)]) for number in range(num_timed)]
        totals.append(_median(calls))
    for variable, value in zip(_state(trainee), kept, strict=True):
        variable.assign(value)
    nothing, augmented, scored, derived, whole = totals
    return StepProfile(
        batch_size=len(batches[0][0]),
        reading=reading,
        augmenting=max(0.0, augmented - nothing),
        forward=max(0.0, scored - augmented),
        backward=max(0.0, derived - scored),
        updating=max(0.0, whole - derived),
    )


def _state(trainee: Trainee) -> list[Any]:
    return list({id(v): v for v in [*trainee.variables, *trainee.optimizer.variables]}.values())


def _median(calls: Sequence[Callable[[], Any]]) -> float:
    """Milliseconds of a call."""
    times = []
    for call in calls:
        began = time.perf_counter()
        keras.tree.map_structure(np.asarray, call())
        times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times))


def _functions(trainee: Trainee) -> list[Callable[[Any, Any], Any]]:
    """Five compiled functions of pixels and labels, each of which does one part more and returns one number."""
    return _tensorflow_functions(trainee) if keras.backend.backend() == "tensorflow" else _jax_functions(trainee)


def _tensorflow_functions(trainee: Trainee) -> list[Callable[[Any, Any], Any]]:
    import tensorflow as tf

    trainee.optimizer.build(trainee.trainable_variables)
    weights = trainee.trainable_variables
    step = partial(_at_once, trainee) if trainee.micro_batch_size is None else trainee.in_parts

    def nothing(pixels: Any, labels: Any) -> Any:
        return tf.reduce_sum(tf.cast(pixels[0, 0, 0], tf.float32))

    def augmented(pixels: Any, labels: Any) -> Any:
        return tf.reduce_sum(trainee.prepare(pixels, training=True))

    def scored(pixels: Any, labels: Any) -> Any:
        return step(pixels, labels, [])[0]

    def derived(pixels: Any, labels: Any) -> Any:
        loss, _, slopes = step(pixels, labels, weights)
        # Every gradient is needed for what is returned, so that none is left out, as with a factor of 0.
        return loss + 1e-30 * tf.add_n([tf.reduce_sum(slope) for slope in slopes])

    def whole(pixels: Any, labels: Any) -> Any:
        loss, _, slopes = step(pixels, labels, weights)
        trainee.optimizer.apply(slopes, weights)
        return loss

    return [tf.function(function) for function in (nothing, augmented, scored, derived, whole)]


def _at_once(trainee: Trainee, pixels: Any, labels: Any, weights: Sequence[Any]) -> tuple[Any, Any, list[Any]]:
    """What `Trainee.in_parts` gives, of the batch as a whole."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = trainee(pixels, training=True)
        loss = trainee.compute_loss(x=pixels, y=labels, y_pred=outputs)
    return loss, outputs, tape.gradient(loss, weights)


def _jax_functions(trainee: Trainee) -> list[Callable[[Any, Any], Any]]:
    import jax
    import jax.numpy as jnp

    trainee.optimizer.build(trainee.trainable_variables)
    trainable = [variable.value for variable in trainee.trainable_variables]
    fixed = [variable.value for variable in trainee.non_trainable_variables]
    moved = [variable.value for variable in trainee.optimizer.variables]

    def loss_of(weights: Any, pixels: Any, labels: Any) -> Any:
        outputs, _ = trainee.stateless_call(weights, fixed, pixels, training=True)
        return jnp.mean(trainee.loss(labels, outputs))

    def augmented(pixels: Any, labels: Any) -> Any:
        mapping = list(zip(trainee.variables, [v.value for v in trainee.variables], strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return jnp.sum(trainee.prepare(pixels, training=True))

    def derived(pixels: Any, labels: Any) -> Any:
        loss, slopes = jax.value_and_grad(loss_of)(trainable, pixels, labels)
        return loss + 1e-30 * sum(jnp.sum(slope) for slope in slopes)

    def whole(pixels: Any, labels: Any) -> Any:
        loss, slopes = jax.value_and_grad(loss_of)(trainable, pixels, labels)
        weights, _ = trainee.optimizer.stateless_apply(moved, slopes, trainable)
        return loss + 1e-30 * sum(jnp.sum(weight) for weight in weights)

    return [
        jax.jit(function)
        for function in (
            lambda pixels, labels: jnp.sum(pixels[0, 0, 0].astype("float32")),
            augmented,
            lambda pixels, labels: loss_of(trainable, pixels, labels),
            derived,
            whole,
        )
    ]
