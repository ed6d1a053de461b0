"""One training on a cluster, from the side of the process that asked for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tinysight.cluster.engine import Cluster, check_backend
from tinysight.cluster.group import WorkersDiedError, placed, raise_failure
from tinysight.cluster.storage import Storage, open_storage
from tinysight.cluster.worker import Task, Worker
from tinysight.errors import InvalidValueError, TrainingStoppedError
from tinysight.images import ImageSet
from tinysight.native_output import without_native_stderr
from tinysight.recipe import Recipe
from tinysight.training.checkpoints import Checkpoint
from tinysight.training.history import Row, write_history

if TYPE_CHECKING:
    from tinysight.training.fit import FitResult

# Workers that die so often without a new checkpoint between will die again.
MAX_DEATHS = 3
# How often the first worker is asked for news, seconds.
NEWS_SECONDS = 1.0

Say = Callable[[str], None]


def choose_backend() -> None:
    """Keras on JAX and the processor, as the process that asks computes nothing that takes long.

    Raises:
        InvalidValueError: as `check_backend`.
    """
    from tinysight.training import backend

    check_backend()
    os.environ["KERAS_BACKEND"] = "jax"
    # A GPU of this machine belongs to its worker.
    backend.choose_backend("cpu")
    import keras

    # Keras imports TensorFlow here, which says at length which instructions it uses.
    with without_native_stderr():
        keras.utils.set_random_seed(0)


def fit_on(
    cluster: Cluster,
    recipe: Recipe,
    net: Any,
    train: ImageSet,
    validation: ImageSet | None,
    *,
    rows: NDArray[Any] | None,
    history_path: Path,
    checkpoints: str,
    checkpoint_minutes: float,
    resume: Checkpoint | None,
    adapt: bool,
    say: Say,
) -> FitResult:
    """As `tinysight.training.fit.fit`, by the workers of `cluster`; those that die are replaced.

    Args:
        checkpoints: where they go and come from: a place that this process and the first worker see.
        say: takes a line an epoch, and one when workers are replaced.

    Raises:
        TinysightError: for whatever a person can mend.
        KeyboardInterrupt: at Ctrl-C; the workers end, and the last checkpoint stays.
    """
    from tinysight.training.fit import adapt_to, fit, make_feed
    from tinysight.training.schedules import count_steps

    if adapt and resume is None:
        adapt_to(net, recipe, train, rows)
    storage = open_storage(checkpoints)
    sign = storage.leave_sign()
    task = Task(
        recipe=found_from_everywhere(recipe), train=_without_names(train), rows=rows,
        validation=None if validation is None else _without_names(validation),
        weights=[variable.numpy() for variable in net.variables], checkpoints=checkpoints, sign=sign,
        checkpoint_minutes=checkpoint_minutes, kind=cluster.kind,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tinysight-") as scratch:
        try:
            _work_to_the_end(cluster, task, storage, Path(scratch), resume, say)
        finally:
            storage.remove_sign(sign)
        end = storage.newest(Path(scratch))
    steps_per_epoch = make_feed(recipe, train, rows).num_steps
    if end is None or end.epoch < -(-count_steps(recipe, steps_per_epoch) // steps_per_epoch):
        raise TrainingStoppedError(f"the workers came to the end, but {checkpoints} holds no checkpoint of it")
    write_history(history_path, end.history)
    # There is nothing left to do but to take over what the checkpoint holds.
    return fit(
        recipe, net, train, validation, rows=rows, history_path=history_path, resume=end, quiet=True, adapt=False,
        whole_epochs=False,
    )  # fmt: skip


def _without_names(images: ImageSet) -> ImageSet:
    """Names of files are many, and training needs none."""
    return replace(images, sources=())


def found_from_everywhere(recipe: Recipe) -> Recipe:
    """A model of a person's own is found from every folder, on machines that see its file."""
    file, separator, function = recipe.model.rpartition(":")
    return recipe.replace(model=f"{Path(file).resolve()}:{function}") if separator else recipe


def _work_to_the_end(
    cluster: Cluster, task: Task, storage: Storage, scratch: Path, checkpoint: Checkpoint | None, say: Say
) -> None:
    """Has the workers train until they are through, new ones as often as they get further than those before."""
    import ray

    shared = ray.put(task)
    news = News(task.recipe, say)
    deaths = 0
    while True:
        news.begin(checkpoint)
        ranks = [(rank, cluster.num_workers) for rank in range(cluster.num_workers)]
        try:
            with placed(cluster, Worker, ranks) as workers:
                _work(workers, task, shared, checkpoint, news)
            return
        except WorkersDiedError as error:
            before, checkpoint = checkpoint, storage.newest(scratch) or checkpoint
            deaths = deaths + 1 if _position(before) == _position(checkpoint) else 1
            if deaths >= MAX_DEATHS:
                raise TrainingStoppedError(
                    f"{error}, {deaths} times without a new checkpoint between; `ray logs` tells more"
                ) from None
            epoch, step = _position(checkpoint)
            say(f"{error}: new workers go on after epoch {epoch}, step {step}")


def _position(checkpoint: Checkpoint | None) -> tuple[int, int]:
    return (0, 0) if checkpoint is None else (checkpoint.epoch, checkpoint.step)


def _work(workers: list[Any], task: Task, shared: Any, checkpoint: Checkpoint | None, news: News) -> None:
    """One try of one group of workers.

    Raises:
        WorkersDiedError: when they are to be replaced.
        TinysightError: when another try would end the same way.
    """
    import ray

    files = [str(path) for path in map(_file_of, (task.train, task.validation)) if path is not None]
    try:
        meeting_point = ray.get(workers[0].meeting_point.remote())
        # Of the checkpoints' place only the first one has need; but that may be on any machine the next time.
        asked = [one.hidden_from_here.remote(task.checkpoints, task.sign, files) for one in workers]
        hidden = {line for lines in ray.get(asked) for line in lines}
    except ray.exceptions.RayError as error:
        raise_failure([], error)
    if hidden:
        raise InvalidValueError(
            f"cannot be seen: {', '.join(sorted(hidden))}; expected places that all machines see,"
            " --storage for checkpoints and TINYSIGHT_CACHE for images"
        )
    state = ray.put(checkpoint)
    pending = [one.train.remote(shared, meeting_point, state) for one in workers]
    while pending:
        done, pending = ray.wait(pending, timeout=NEWS_SECONDS)
        for reference in done:
            try:
                ray.get(reference)
            except Exception as error:
                raise_failure(pending, error)
        news.ask(workers[0])


def _file_of(images: ImageSet | None) -> Path | None:
    """The file that images are read from; None for those in memory."""
    path: Path | None = None if images is None else getattr(images.images, "path", None)
    return None if path is None else path.resolve()


class News:
    """A line an epoch, from the first worker to a person.

    Args:
        recipe: of the training.
        say: takes the lines.
    """

    def __init__(self, recipe: Recipe, say: Say) -> None:
        self.recipe, self.say, self.known = recipe, say, 0

    def begin(self, checkpoint: Checkpoint | None) -> None:
        """New workers begin; what they do again is told again."""
        self.known = 0 if checkpoint is None else len(checkpoint.history)

    def ask(self, worker: Any) -> None:
        """Asks for what is new; a worker that died has nothing to say."""
        import ray

        try:
            rows: list[Row] = ray.get(worker.history.remote(self.known), timeout=NEWS_SECONDS)
        except ray.exceptions.RayError:
            return
        for row in rows:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "epoch")
            total = "" if self.recipe.steps else f"/{self.recipe.epochs}"
            self.say(f"epoch {row['epoch']:.0f}{total}  {figures}")
        self.known += len(rows)
