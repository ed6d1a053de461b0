"""A training from its beginning, or from where it was interrupted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysight.data.validation import TrainingSplit, split_for_training
from tinysight.errors import DiskFullError, InvalidValueError, TrainingInterruptedError
from tinysight.files import check_name, read_json, write_json, write_text
from tinysight.images import DataSet
from tinysight.jobs import going_on, on_cluster, starting
from tinysight.jobs.by_clock import fit_into
from tinysight.jobs.finish import finish
from tinysight.jobs.inputs import header, headline, left_out_words, write_inputs
from tinysight.jobs.settings import Settings
from tinysight.jobs.watching import watched
from tinysight.recipe import Recipe, load_recipe, to_toml
from tinysight.report.making import started_from
from tinysight.runs import Run, create_run, refuse_existing
from tinysight.training.balance import balance_words

if TYPE_CHECKING:
    from tinysight.training.budget import TimeBudget
    from tinysight.training.checkpoints import Checkpoint
    from tinysight.training.fit import FitResult
    from tinysight.training.profiling import StepProfile


def train(
    recipe: Recipe,
    data: DataSet,
    *,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Trains, evaluates on the test split and saves.

    Args:
        recipe: how.
        data: what; `choose_data` finds it.
        out: the run folder; None for a new one under `runs/`.
        data_dir: where the data was found, for verbs that need it again.
        device: "auto", "cpu", "gpu" or "gpu:N".
        settings: what to save and print.

    Returns:
        The run's summary, as `--json` prints it.

    Raises:
        TinysightError: for whatever a person can mend; see `tinysight.errors`.
    """
    settings = settings or Settings()
    say = settings.say
    started = time.perf_counter() if settings.started is None else settings.started
    if out is not None:
        refuse_existing(out)
    check_name(Path(data_dir or "."))
    importing = time.perf_counter()
    _choose_backend(device, settings)
    import_seconds = time.perf_counter() - importing
    from tinysight.models.precision import resolve_precision
    from tinysight.training.augment import check_augmentation, resolve_flip
    from tinysight.training.environment import describe_environment

    check_augmentation(recipe, data.image_shape)
    if settings.minutes is not None:
        _check_spare_time(recipe, settings)
    recipe = resolve_flip(resolve_precision(recipe), data.class_names)
    if settings.start is not None:
        starting.check_start(settings.start, data)
    split = split_for_training(recipe, data)
    budget = None
    if settings.minutes is not None:
        recipe, budget = fit_into(recipe, data, split, settings, started, import_seconds)
        recipe = resolve_precision(recipe)
    profile = _profile(recipe, data, split) if settings.profile else None
    net = _build(recipe, data)
    origin = None if settings.start is None else starting.start(settings.start, net, recipe, data, split)
    recipe = _with_whole_epochs(recipe.replace(data=data.name, parameters=net.count_params()), split)
    run = create_run(out, recipe.name)
    environment = describe_environment(recipe.seed) | {
        "minutes": settings.minutes, "started_from": origin, "step_profile": profile and profile.to_dict(),
        "cluster": settings.cluster and on_cluster.describe(settings.cluster, run),
    }  # fmt: skip
    write_inputs(run, recipe, data, split, environment, data_dir)
    for words in (
        headline(recipe, data, split, net.count_params()),
        left_out_words(data),
        profile and profile.words(),
        origin and f"starting from {started_from(origin)}",
        balance_words(recipe, data.class_names, split.train_counts().tolist()),
    ):
        if words:
            say(words)
    with going_on.alone_in(run), watched(run, recipe, split, settings) as settings:
        return _fit_and_finish(run, recipe, data, split, net, environment, None, settings, budget)


def resume(
    path: str | Path,
    *,
    data: DataSet | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Goes on with a training that was interrupted, from its last whole checkpoint.

    The finished run is bit for bit the one that was never interrupted.

    Args:
        path: the run folder.
        data: what it was trained on; None to load it again.
        data_dir: where extracted archives lie, or one's own images by now; None for where they lay when it began.
        device: "auto", "cpu", "gpu" or "gpu:N".
        settings: what to save and print.

    Returns:
        The run's summary, as `--json` prints it.

    Raises:
        RunError: when there is nothing to go on with: no run, a finished one, or another data set than before.
    """
    settings = settings or Settings()
    run = going_on.open_unfinished(path)
    recipe, environment = load_recipe(str(run.recipe)), read_json(run.environment)
    data, split = going_on.same_data(run, recipe, data, data_dir)
    if settings.cluster is None:
        going_on.choose_same_backend(environment, device, settings.say)
    else:
        on_cluster.check_backend(run, environment)
        _choose_backend(device, settings)
        environment["cluster"] = on_cluster.describe(settings.cluster, run, environment.get("cluster"))
    with going_on.alone_in(run), watched(run, recipe, split, settings) as settings:
        on_cluster.fetch_checkpoint(run, environment.get("cluster"))
        checkpoint = going_on.read_checkpoint(run, settings.say)
        run.finished_marker.unlink(missing_ok=True)
        going_on.forget_calibration(run)
        environment = going_on.note_resumption(run, environment)
        net = _build(recipe, data)
        if checkpoint is None and environment.get("started_from"):
            starting.start_again(environment["started_from"], net, recipe, data, split)
        return _fit_and_finish(run, recipe, data, split, net, environment, checkpoint, settings)


def _with_whole_epochs(recipe: Recipe, split: TrainingSplit) -> Recipe:
    """Where steps say when a training ends: so many epochs, the last of which may be a part, belong to them."""
    if recipe.steps is None:
        return recipe
    return recipe.replace(epochs=-(-recipe.steps // _steps_per_epoch(recipe, split)))


def _steps_per_epoch(recipe: Recipe, split: TrainingSplit) -> int:
    return -(-split.num_train // recipe.batch_size)


def _check_spare_time(recipe: Recipe, settings: Settings) -> None:
    if recipe.keep == "best":
        raise InvalidValueError(
            "keep=best scores every epoch, which --minutes leaves no time for: leave one of them out"
        )
    if settings.profile:
        raise InvalidValueError(
            "--profile times a net for longer than --minutes has to spare: train first, then profile the recipe.toml of"
            " that run"
        )


def _choose_backend(device: str, settings: Settings) -> None:
    if settings.cluster is None:
        from tinysight.training.backend import choose_backend, list_devices

        choose_backend(device)
        if device == "cpu" and any(found.kind == "gpu" for found in list_devices()):
            settings.say("device cpu: Keras was imported before and trains on the GPU that it saw; start Python anew")
        return
    from tinysight.cluster import training

    on_cluster.check_settings(settings)
    training.choose_backend()


def _build(recipe: Recipe, data: DataSet) -> Any:
    import keras

    from tinysight.models.registry import build_training_net

    keras.utils.set_random_seed(recipe.seed)
    return build_training_net(recipe, data.image_shape, len(data.class_names))


def _fit_and_finish(
    run: Run,
    recipe: Recipe,
    data: DataSet,
    split: TrainingSplit,
    net: Any,
    environment: dict[str, Any],
    checkpoint: Checkpoint | None,
    settings: Settings,
    budget: TimeBudget | None = None,
) -> dict[str, Any]:
    try:
        result = _fit(run, recipe, split, net, environment, checkpoint, settings, budget)
    except (KeyboardInterrupt, TrainingInterruptedError):
        raise TrainingInterruptedError(going_on.words_after_interruption(run, settings.cluster is not None)) from None
    except DiskFullError as error:
        raise going_on.stopped_by_full_disk(error, run, settings) from None
    if budget is not None:
        # Interrupted, the net has the weights of the last whole epoch.
        kept = result.epochs_completed * _steps_per_epoch(recipe, split) if result.interrupted else None
        recipe = _with_whole_epochs(budget.recorded(recipe, kept), split)
        write_text(run.recipe, to_toml(recipe, header(run, f"Chosen and recorded by --minutes {settings.minutes:g}.")))
    if result.interrupted:
        which = "last whole" if result.epoch_kept == result.epochs_completed else "best"
        settings.say(f"interrupted: keeping epoch {result.epoch_kept} of {recipe.epochs}, the {which} one")
    environment |= {
        "seconds": result.seconds,
        "epochs_completed": result.epochs_completed,
        "epoch_kept": result.epoch_kept,
        "interrupted": result.interrupted,
        "peak_memory_bytes": _peak_memory(),
    }
    write_json(run.environment, environment)
    try:
        return finish(run, recipe, data, split, net, environment, settings)
    except DiskFullError as error:
        raise going_on.stopped_by_full_disk(error, run, settings) from None


def _fit(
    run: Run,
    recipe: Recipe,
    split: TrainingSplit,
    net: Any,
    environment: dict[str, Any],
    checkpoint: Checkpoint | None,
    settings: Settings,
    budget: TimeBudget | None,
) -> FitResult:
    from tinysight.training.fit import fit

    shared: dict[str, Any] = {
        "rows": split.train_indices, "history_path": run.history, "resume": checkpoint,
        "checkpoint_minutes": settings.checkpoint_minutes,
        # The first layers of a net that was trained before belong to what it was trained on.
        "adapt": not environment.get("started_from"),
    }  # fmt: skip
    if settings.cluster is not None:
        from tinysight.cluster.training import fit_on

        return fit_on(
            settings.cluster, recipe, net, split.images, split.validation, say=settings.say,
            checkpoints=on_cluster.place_of_checkpoints(run, environment["cluster"]), **shared,
        )  # fmt: skip
    return fit(
        recipe,
        net,
        split.images,
        # Scoring it each epoch would take time from the budget; it is scored at the end.
        None if budget else split.validation,
        checkpoints=None if budget else run.checkpoints,
        budget=budget,
        quiet=settings.quiet,
        callbacks=settings.callbacks,
        **shared,
    )


def _profile(recipe: Recipe, data: DataSet, split: TrainingSplit) -> StepProfile:
    """Of a net of its own, so that the training is what it is without."""
    import keras

    if keras.backend.backend() not in ("tensorflow", "jax"):
        raise InvalidValueError(
            f"--profile times a step on TensorFlow and JAX; KERAS_BACKEND is {keras.backend.backend()}: leave one out"
        )

    from tinysight.training.fit import adapt_to, compile_trainee, make_feed
    from tinysight.training.profiling import profile_step

    net = _build(recipe, data)
    adapt_to(net, recipe, split.images, split.train_indices)
    feed = make_feed(recipe, split.images, split.train_indices)
    profile = profile_step(compile_trainee(recipe, net, feed.num_steps), feed)
    keras.backend.clear_session()
    return profile


def _peak_memory() -> int | None:
    """The largest resident size of this process so far, bytes; None where the platform does not tell."""
    import sys

    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
