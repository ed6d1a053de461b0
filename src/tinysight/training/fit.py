"""One training: a recipe, a net and images in; a trained net and its history out. The loop is Keras's `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinysight.errors import TrainingInterruptedError
from tinysight.images import ImageSet, spread_evenly
from tinysight.memory import give_back_freed, reserve_pool
from tinysight.models import fast
from tinysight.models.in_parts import InParts
from tinysight.models.own import is_own_model
from tinysight.models.serving import SCALINGS
from tinysight.recipe import Recipe
from tinysight.training.balance import class_weights
from tinysight.training.budget import TimeBudget
from tinysight.training.callbacks import (
    BestEpoch,
    Checkpointer,
    GiveBack,
    HistoryWriter,
    LastWholeEpoch,
    Position,
    Restore,
    StopOnBadLoss,
    put_state,
)
from tinysight.training.checkpoints import Checkpoint, read_newest
from tinysight.training.feed import Feed
from tinysight.training.history import Row
from tinysight.training.optimizers import make_optimizer
from tinysight.training.progress import Bar, progress_callback
from tinysight.training.schedules import count_steps, learning_rates
from tinysight.training.sharing import Share, SharedSequence, SharedTrainee
from tinysight.training.trainee import Trainee, has_one_hot_labels, make_loss
from tinysight.training.whole_epochs import OrderSequence, fits_the_device, put_on_device, steps_per_program

# Steps are executed so many images at a time: calls into Python cost about a millisecond each, and a bar that moves
# several times a second is smooth enough.
IMAGES_PER_EXECUTION = 2048
EVALUATION_BATCH = 500
CHECKPOINT_MINUTES = 5.0
# More than any training has; one that is bounded by time ends by itself.
MANY_EPOCHS = 1_000_000
ADAPT_IMAGES = 5000
# For nets that hold much of a batch: more than any shipped one needs, bytes.
POOL_OF_WIDE_NETS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training came to.

    Attributes:
        history: a row an epoch, as in the run's history file.
        seconds: of `fit`, imports and data apart.
        epochs_completed: epochs of training; the last may be a part of one, where the recipe says how many steps.
        epoch_kept: the epoch whose weights the net has: the last whole one or, where the recipe keeps it, the best.
        interrupted: whether Ctrl-C ended it early.
    """

    history: list[Row]
    seconds: float
    epochs_completed: int
    epoch_kept: int
    interrupted: bool


def fit(
    recipe: Recipe,
    net: keras.Model,
    train: ImageSet,
    validation: ImageSet | None,
    *,
    history_path: Path,
    rows: NDArray[np.int64] | None = None,
    checkpoints: Path | None = None,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    resume: Checkpoint | None = None,
    budget: TimeBudget | None = None,
    quiet: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    adapt: bool = True,
    whole_epochs: bool | None = None,
    share: Share | None = None,
) -> FitResult:
    """Trains `net` in place.

    Args:
        recipe: how.
        net: scaled images, float32, to (n, num_classes); see `tinysight.models`.
        train: what it learns from.
        validation: what is scored at each epoch's end, or None.
        history_path: where the history is written, every epoch.
        rows: int64, which images of `train` to learn from; None for all.
        checkpoints: folder for the state of the training, or None to write none.
        checkpoint_minutes: time between checkpoints within an epoch; there is one at each epoch's end besides.
        resume: where to go on from; the end is the same, bit for bit, as that of a training which never stopped.
        budget: a time to train for instead of epochs; it moves the learning rate by the clock.
        quiet: whether to print nothing.
        callbacks: further Keras callbacks.
        adapt: whether to fill what a net takes from its training images before it learns.
        whole_epochs: whether the images lie on the device and an epoch is one program, on JAX; None for where an
            accelerator has room for them. Not where a budget of time moves the learning rate.
        share: this process's part of every batch, where several do each step together; None for all of it.

    Raises:
        TrainingStoppedError: when the loss is NaN or infinite.
        TrainingInterruptedError: when Ctrl-C came before the first epoch was whole.
    """
    feed = make_feed(recipe, train, rows)
    if adapt:
        adapt_to(net, recipe, train, rows)
    is_wide = make_room(net)
    labels = train.labels if rows is None else train.labels[rows]
    trainee = compile_trainee(
        recipe, net, feed.num_steps, budget, class_weights=class_weights(recipe, labels, train.num_classes),
        shared=share is not None,
    )  # fmt: skip
    scored = _evaluation_feed(recipe, validation)
    _share_steps(trainee, share, feed, scored)
    if budget is None and (fits_the_device(train) if whole_epochs is None else whole_epochs):
        put_whole_epochs(trainee, feed)
    writer, last = HistoryWriter(history_path), None if checkpoints else LastWholeEpoch()
    num_steps = count_steps(recipe, feed.num_steps)
    progress = progress_callback(feed, num_steps, quiet=quiet, deadline=None if budget is None else budget.deadline)
    # Without validation images there is no best epoch to tell.
    best = BestEpoch(recipe.metric) if recipe.keep == "best" and validation is not None else None
    checkpointer = Checkpointer(checkpoints, writer, feed, checkpoint_minutes, best) if checkpoints else None
    if resume is not None:
        _go_on(trainee, feed, resume, writer, best)
    # In this order: a checkpoint holds what those before it keep.
    listeners = (
        Position(feed), StopOnBadLoss(recipe, feed.num_steps), writer, last, *callbacks, best,
        Restore(resume) if resume else None, checkpointer, budget, progress, GiveBack(pool=is_wide),
    )  # fmt: skip
    interrupted = False
    try:
        for part in _parts(num_steps, feed.num_steps, resume) if budget is None else [Part(0, MANY_EPOCHS)]:
            feed.epoch, feed.skip, feed.stop = part.first, part.skip, part.stop
            trainee.steps_before = part.skip
            trainee.fit(
                _batches(feed, share) if trainee.resident is None else OrderSequence(feed),
                validation_data=_batches(scored, share),
                initial_epoch=part.first,
                epochs=part.end,
                callbacks=[listener for listener in listeners if listener is not None],
                verbose=0,
                shuffle=False,
            )
            if trainee.stop_training:
                # A callback of a person's own ended it; the parts that are left are not begun.
                break
    except KeyboardInterrupt:
        interrupted = True
        _restore(trainee, last, writer, best, checkpoints)
    finally:
        if isinstance(progress, Bar):
            progress.close()
    epoch_kept = None if best is None else best.restore(net)
    return FitResult(
        history=writer.rows,
        seconds=writer.seconds(),
        epochs_completed=len(writer.rows),
        epoch_kept=len(writer.rows) if epoch_kept is None else epoch_kept,
        interrupted=interrupted,
    )


def _go_on(trainee: Trainee, feed: Feed, resume: Checkpoint, writer: HistoryWriter, best: BestEpoch | None) -> None:
    """Everything as it was at the checkpoint; `Restore` does the same again once Keras has reset its metrics."""
    if keras.backend.backend() == "jax":
        make_variables(trainee, feed)
    # Here too, as a training that was killed after its last epoch has no step left in which to be restored.
    put_state(trainee, resume.variables)
    writer.go_on(resume)
    if best is not None:
        best.kept = resume.best


def make_variables(trainee: Trainee, feed: Feed) -> None:
    """Every variable of optimizer and metrics, which Keras on JAX otherwise makes before the first step.

    Through a whole step, as arrays that several processes share do not go together with others outside of one.
    """
    trainee.optimizer.build(trainee.trainable_variables)
    trainee.test_on_batch(*feed.look_up(feed.order()[:1]))


def _make_variables_at_once(trainee: Trainee, recipe: Recipe, num_classes: int) -> None:
    """Every variable of optimizer and metrics. TensorFlow would trace a first step that makes some once more."""
    trainee.optimizer.build(trainee.trainable_variables)
    one_hot = np.eye(1, num_classes, dtype=np.float32)
    trainee.compute_metrics(None, one_hot if has_one_hot_labels(recipe) else np.zeros(1, np.int32), one_hot)
    trainee.reset_metrics()


def put_whole_epochs(trainee: Trainee, feed: Feed) -> None:
    """From here on `trainee` is given an `OrderSequence`: its images lie on the device."""
    trainee.resident = put_on_device(feed)
    trainee.steps_per_execution = steps_per_program(feed)
    # Keras would make them from the first batch, which has no images.
    make_variables(trainee, feed)
    trainee.reset_metrics()


@dataclass(frozen=True)
class Part:
    """One call of Keras's `fit`: epochs `first` to `end` (not included), or a part of the one epoch `first`.

    Attributes:
        skip: steps of it that were done before.
        stop: steps after which it ends, or None for all.
    """

    first: int
    end: int
    skip: int = 0
    stop: int | None = None


def _parts(num_steps: int, steps_per_epoch: int, resume: Checkpoint | None) -> list[Part]:
    """What is left to do: the rest of a begun epoch, whole epochs, and a last epoch that is a part."""
    num_whole, rest = divmod(num_steps, steps_per_epoch)
    epoch, step = (0, 0) if resume is None else (resume.epoch, resume.step)
    parts = []
    if step:
        parts.append(Part(epoch, epoch + 1, step, None if epoch < num_whole else rest))
        epoch += 1
    if epoch < num_whole:
        parts.append(Part(epoch, num_whole))
    if rest and epoch <= num_whole:
        parts.append(Part(num_whole, num_whole + 1, 0, rest))
    return parts


def adapt_to(net: keras.Model, recipe: Recipe, images: ImageSet, rows: NDArray[np.int64] | None = None) -> None:
    """Fills what a net takes from its training images before it learns: a whitening first layer."""
    chosen = spread_evenly(len(images) if rows is None else len(rows), ADAPT_IMAGES)
    fast.adapt(net, images.images[chosen if rows is None else rows[chosen]], *SCALINGS[recipe.scaling])


def make_room(net: keras.Model) -> bool:
    """Reserves memory for a net that holds much of a batch, before it is trained; whether it did."""
    if not any(isinstance(layer, InParts) for layer in net.layers):
        return False
    # What other nets have left.
    give_back_freed()
    return reserve_pool(POOL_OF_WIDE_NETS)


def make_feed(recipe: Recipe, images: ImageSet, rows: NDArray[np.int64] | None = None) -> Feed:
    """The training images as `recipe` wants them."""
    return Feed(
        images,
        rows=rows,
        batch_size=min(recipe.batch_size, len(images) if rows is None else len(rows)),
        seed=recipe.seed,
        one_hot=has_one_hot_labels(recipe),
        alternate=recipe.flip == "alternating",
        balanced=recipe.sampling == "balanced",
        # Nets that are shipped hold no sum of three.
        known_size=not is_own_model(recipe.model),
    )


def _evaluation_feed(recipe: Recipe, images: ImageSet | None) -> Feed | None:
    if images is None:
        return None
    batch_size = min(EVALUATION_BATCH, recipe.micro_batch_size or EVALUATION_BATCH)
    return Feed(
        images, batch_size=batch_size, seed=None, one_hot=has_one_hot_labels(recipe),
        known_size=not is_own_model(recipe.model),
    )  # fmt: skip


def _share_steps(trainee: Trainee, share: Share | None, feed: Feed, scored: Feed | None) -> None:
    if share is not None and isinstance(trainee, SharedTrainee):
        trainee.set_feeds(share, feed, scored)


def _batches(feed: Feed | None, share: Share | None) -> Any:
    if feed is None:
        return None
    return feed.for_backend() if share is None else SharedSequence(feed, share)


def compile_trainee(
    recipe: Recipe,
    net: keras.Model,
    steps_per_epoch: int,
    budget: TimeBudget | None = None,
    *,
    class_weights: NDArray[np.float32] | None = None,
    shared: bool = False,
) -> Trainee:
    """The compiled model that `fit` trains; `shared` where several processes do each step together."""
    trainee = (SharedTrainee if shared else Trainee)(net, recipe, class_weights)
    executed = IMAGES_PER_EXECUTION // recipe.batch_size if budget is None else budget.steps_per_execution
    executed = max(1, min(executed, steps_per_epoch))
    if trainee.micro_batch_size is not None:
        # TensorFlow's sums of three large tensors and more fail in a loop within a loop.
        executed = 1
    rates = None if budget is not None or recipe.schedule == "constant" else learning_rates(recipe, steps_per_epoch)
    trainee.compile(
        optimizer=make_optimizer(recipe, net, rates),
        loss=make_loss(recipe, net),
        metrics=[recipe.metric],
        # XLA's convolutions are 3 to 4 times slower than TensorFlow's own on a CPU.
        jit_compile=keras.backend.backend() == "jax",
        steps_per_execution=executed if keras.backend.backend() == "tensorflow" else 1,
    )
    if keras.backend.backend() != "jax":
        _make_variables_at_once(trainee, recipe, net.output_shape[-1])
    return trainee


def _restore(
    trainee: Trainee,
    last: LastWholeEpoch | None,
    writer: HistoryWriter,
    best: BestEpoch | None,
    checkpoints: Path | None,
) -> None:
    """Weights and history of the same last whole epoch, wherever between the two the interruption came."""
    if last is not None and last.kept is not None:
        writer.keep(last.restore())
        return
    found = None if checkpoints is None else read_newest(checkpoints, at_epochs_end=True)[0]
    if found is None:
        raise TrainingInterruptedError("interrupted before the first epoch was whole: nothing was kept") from None
    put_state(trainee, found.variables)
    writer.rows = list(found.history)
    writer.keep(found.epoch)
    if best is not None:
        best.kept = found.best
