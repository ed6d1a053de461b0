"""`tinysight train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tinysight.cli.common import (
    FiniteRange,
    cluster_option,
    connect_cluster,
    json_option,
    print_json,
    run_data_dir_option,
    say,
    workers_option,
)
from tinysight.errors import InvalidValueError
from tinysight.report.words import counted
from tinysight.runs import Run

if TYPE_CHECKING:
    from tinysight.cluster.engine import Cluster
    from tinysight.recipe import Recipe
    from tinysight.verbs.train import LivePage, Settings

# Options that are fields of the recipe.
SHORTCUTS = ("data", "model", "epochs", "batch_size", "learning_rate", "seed")


def known_device(_: click.Context, __: click.Parameter, device: str) -> str:
    """A device that exists nowhere is refused before data and Keras are loaded."""
    from tinysight.training.backend import parse_device

    parse_device(device)
    return device


@click.command()
@click.argument("recipe", required=False)
@click.option("--data", metavar="NAME", help="Data set; `tinysight data list` shows them.")
@run_data_dir_option
@click.option("--model", metavar="FILE.py:FUNCTION", help="A model of your own: a function that returns a Keras model.")
@click.option("--epochs", type=int, help="Passes over the training images.")
@click.option("--batch-size", type=int, help="Images a step.")
@click.option("--learning-rate", type=float, help="The highest rate that the schedule reaches.")
@click.option("--seed", type=int, help="Of weights, order, splits, dropout and augmentation.")
@click.option("--seeds", type=click.IntRange(2), metavar="N", help="Train N times, with --seed and those that follow.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any field of the recipe; repeatable.")
@click.option(
    "--minutes", type=FiniteRange(0.05), help="Train the best net that fits into so much time, or the one named."
)
@click.option("--out", type=click.Path(), help="The run folder; without it, a new one under runs/.")
@click.option("--device", default="auto", show_default=True, callback=known_device, help="auto, cpu, gpu or gpu:N.")
@cluster_option
@workers_option
@click.option("--storage", metavar="PLACE", help="Where checkpoints of a cluster go: a shared folder, or s3://...")
@click.option("--resume", type=click.Path(), metavar="RUN", help="Go on with a training that was interrupted.")
@click.option("--from", "start", type=click.Path(), metavar="RUN", help="Begin with the weights of a finished run.")
@click.option(
    "--checkpoint-minutes", type=FiniteRange(0), default=5.0, show_default=True, help="Between checkpoints in an epoch."
)
@click.option(
    "--live",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=0,
    metavar="[PORT]",
    help="Follow it on a page of this machine; without a port, on one that is free.",
)
@click.option(
    "--tensorboard",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Write TensorBoard's event files into the run, or into a folder of the run's name below DIR.",
)
@click.option("--profile", is_flag=True, help="Say first where the time of a step goes.")
@click.option("--save-json", is_flag=True, help="Also save architecture JSON and weights HDF5, as tutorials do.")
@click.option("--no-report", is_flag=True, help="Write no report.html.")
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
@click.pass_context
def train(
    ctx: click.Context, /, recipe: str | None, as_json: bool, assignments: tuple[str, ...], **options: Any
) -> None:
    """Train, evaluate on held-out images and save.

    RECIPE is a name that `tinysight recipes` lists, or a .toml file of your own.
    """
    from tinysight.verbs import train as verb

    if options["resume"] is not None:
        _refuse_changes(ctx)
    quiet = options["quiet"]
    note = (lambda text: None) if quiet else say
    cluster = _cluster(ctx, options)
    settings = verb.Settings(
        quiet=quiet, save_json=options["save_json"], report=not options["no_report"],
        checkpoint_minutes=options["checkpoint_minutes"], minutes=options["minutes"], start=options["start"],
        started=(ctx.obj or {}).get("started"), profile=options["profile"],
        tensorboard=_checked_tensorboard(options["tensorboard"], recipe), live=_live_page(ctx, options["live"]),
        cluster=cluster, say=note,
    )  # fmt: skip
    if options["resume"] is not None:
        summary = verb.resume(
            options["resume"], data_dir=options["data_dir"], device=options["device"], settings=settings
        )
    else:
        summary = _train(recipe, assignments, options, settings)
    if as_json:
        print_json(summary)
    else:
        click.echo(describe(summary) if options["seeds"] is None else describe_seeds(summary))
    if summary["interrupted"]:
        ctx.exit(130)


def _checked_tensorboard(folder: str | None, recipe: str | None) -> str | None:
    """An option whose value may be missing takes the word behind it: a recipe there is told from a folder."""
    from tinysight.recipe import recipe_names
    from tinysight.verbs import train as verb

    if folder is None:
        return None
    if recipe is None and (folder in recipe_names() or folder.endswith(".toml")):
        raise InvalidValueError(f"--tensorboard took '{folder}' for its folder: name the recipe before it")
    verb.check_tensorboard()
    return folder


def _live_page(ctx: click.Context, port: int | None) -> LivePage | None:
    """The page, open until the command ends."""
    if port is None:
        return None
    from tinysight.verbs import train as verb

    page = ctx.with_resource(verb.LivePage(port))
    say(f"follow the training at {page.url}")
    return page


def _cluster(ctx: click.Context, options: dict[str, Any]) -> Cluster | None:
    """The cluster, connected until the command ends."""
    if options["cluster"] is None and options["storage"] is not None:
        raise InvalidValueError("--storage is of a cluster's checkpoints: expected --cluster, as in --cluster local")
    from tinysight.verbs import train as verb

    if options["cluster"] is not None:
        verb.check_beside_cluster(options)
    return connect_cluster(ctx, options, storage=options["storage"])


def _refuse_changes(ctx: click.Context) -> None:
    """A resumed training is the one that was begun: what would change it is refused."""
    kept = {
        "resume", "data_dir", "device", "quiet", "as_json", "no_report", "save_json", "checkpoint_minutes", "live",
        "tensorboard", "cluster", "workers",
    }  # fmt: skip
    for parameter in ctx.command.params:
        name = parameter.name or ""
        source = ctx.get_parameter_source(name)
        if name not in kept and source not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            as_typed = max(parameter.opts, key=len)
            raise InvalidValueError(f"{as_typed} cannot be changed when a training is resumed: leave it out")


def _train(
    recipe: str | None, assignments: tuple[str, ...], options: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    from tinysight.data.source import choose_data
    from tinysight.recipe import DEFAULT_RECIPE, load_recipe, parse_assignments
    from tinysight.verbs import train as verb

    if options["seeds"] is not None and options["minutes"] is not None:
        raise InvalidValueError("--seeds and --minutes exclude each other: by the clock no training can be had again")
    changes = {key: options[key] for key in SHORTCUTS if options[key] is not None}
    assigned = parse_assignments(assignments)
    for key in changes.keys() & assigned.keys():
        raise InvalidValueError(f"{key} came twice, with --{key.replace('_', '-')} and with --set: keep one of them")
    changes |= assigned
    loaded = (
        _recipe_of_start(recipe, options, changes)
        if options["start"] is not None
        else load_recipe(recipe or DEFAULT_RECIPE, **changes)
    )
    if options["minutes"] is not None:
        verb.check_beside_minutes(loaded, changes)
    anything = recipe is None and "data" not in changes and options["start"] is None
    data = choose_data(loaded, options["data_dir"], anything=anything, say=settings.say)
    where = {name: options[name] for name in ("out", "data_dir", "device")}
    if options["seeds"] is not None:
        return verb.train_seeds(options["seeds"], loaded, data, settings=settings, **where)
    return verb.train(loaded, data, settings=settings, **where)


def _recipe_of_start(recipe: str | None, options: dict[str, Any], changes: dict[str, Any]) -> Recipe:
    """With --from the run's own recipe, where none is named."""
    from tinysight.recipe import load_recipe
    from tinysight.verbs import train as verb

    if options["minutes"] is not None:
        raise InvalidValueError(
            "--from and --minutes exclude each other: one keeps the run's net, the other chooses one"
        )
    if recipe is None:
        return verb.recipe_of_start(options["start"], changes)
    named = load_recipe(recipe, **changes)
    return named.replace(**verb.with_shape_of(options["start"], {"data": named.data, **changes}))


def describe(summary: dict[str, Any]) -> str:
    """The end of a training for a person."""
    low, high = summary["test_accuracy_interval"]
    samples = [
        f"test image {sample['image']}: {sample['predicted']} ({sample['score']:.0%}), in truth {sample['true']}"
        for sample in summary["samples"]
    ]
    folder = summary["run"]
    report = ", report.html" if Run(folder).report.is_file() else ""
    return "\n".join(
        [
            f"test accuracy {summary['test_accuracy']:.2%}  (95 % interval {low:.2%} to {high:.2%},"
            f" n = {summary['num_test']:,})",
            f"test loss     {summary['test_loss']:.4f}",
            f"training took {summary['seconds']:.1f} s for {counted(summary['epochs'], 'epoch')}",
            *samples,
            f"run           {folder}  (model.keras, model.onnx, history.csv, metrics.json, plots/{report})",
            f"next          tinysight predict {folder} IMAGE...    tinysight evaluate {folder}",
        ]
    )


def describe_seeds(record: dict[str, Any]) -> str:
    """The end of several trainings for a person."""
    lines = [
        f"seed {run['seed']:<8} test accuracy {run['test_accuracy']:.2%}  test loss {run['test_loss']:.4f}"
        f"  {run['seconds']:.1f} s  {run['run']}{'  (interrupted)' if run['interrupted'] else ''}"
        for run in record["runs"]
    ]
    aggregate = record["aggregate"]
    if aggregate is not None:
        lines += _over_seeds(aggregate["test_accuracy"], aggregate["test_loss"])
    return "\n".join([*lines, f"runs          {record['folder']}  (a folder each, and seeds.json)"])


def _over_seeds(accuracy: dict[str, Any], loss: dict[str, Any]) -> list[str]:
    if accuracy["std"] is None:
        return ["one whole training: neither spread nor interval"]
    low, high = accuracy["interval"]
    return [
        f"test accuracy {accuracy['mean']:.2%} on average over {accuracy['n']} seeds, standard deviation"
        f" {100 * accuracy['std']:.2f} points, {accuracy['min']:.2%} to {accuracy['max']:.2%}",
        f"              95 % interval of the mean {low:.2%} to {high:.2%}, by Student's t: of training again, on the"
        " same images",
        f"test loss     {loss['mean']:.4f} on average, standard deviation {loss['std']:.4f},"
        f" {loss['min']:.4f} to {loss['max']:.4f}",
    ]
