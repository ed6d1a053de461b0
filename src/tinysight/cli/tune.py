"""`tinysight tune RECIPE`."""

from __future__ import annotations

from typing import Any

import click

from tinysight.cli.common import (
    cluster_option,
    connect_cluster,
    data_dir_option,
    json_option,
    print_json,
    say,
    workers_option,
)
from tinysight.cli.train import known_device
from tinysight.errors import InvalidValueError


@click.command()
@click.argument("recipe", required=False)
@click.option("--trials", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Trials in all.")
@click.option("--space", type=click.Path(), metavar="FILE", help="TOML file: fields with low and high, or choices.")
@click.option("--data", metavar="NAME", help="Data set, or a folder of your own images.")
@data_dir_option
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any field of the recipe; repeatable.")
@click.option("--out", type=click.Path(), help="The search's folder; without it, a new one under runs/.")
@click.option("--resume", type=click.Path(), metavar="FOLDER", help="Go on with a search, or join one that is running.")
@click.option("--device", default="auto", show_default=True, callback=known_device, help="auto, cpu, gpu or gpu:N.")
@cluster_option
@workers_option
@click.option("--quiet", is_flag=True, help="No line for each trial.")
@json_option
@click.pass_context
def tune(ctx: click.Context, /, recipe: str | None, assignments: tuple[str, ...], **options: Any) -> None:
    """Search for the best values of a recipe's fields, on validation images alone.

    RECIPE is a name that `tinysight recipes` lists, or a .toml file. The test split is not looked at.
    """
    from tinysight.verbs import tune as verb

    loaded = _recipe(recipe, assignments, options)
    result = verb.tune(
        loaded,
        num_trials=options["trials"],
        space=options["space"],
        out=options["out"],
        resume=options["resume"],
        data_dir=options["data_dir"],
        device=options["device"],
        cluster=connect_cluster(ctx, options, shared_steps=False),
        say=(lambda text: None) if options["quiet"] else say,
    )
    if options["as_json"]:
        print_json(result.to_dict())
    else:
        click.echo(describe(result.to_dict()))
    if result.interrupted:
        ctx.exit(130)


def _recipe(recipe: str | None, assignments: tuple[str, ...], options: dict[str, Any]) -> Any:
    from tinysight.recipe import load_recipe, parse_assignments

    if options["resume"] is not None:
        for name in ("space", "data", "out"):
            if options[name] is not None:
                raise InvalidValueError(f"--{name} cannot be changed when a search goes on: leave it out")
        if recipe is not None or assignments:
            raise InvalidValueError("a search that goes on has its recipe: leave RECIPE and --set out")
        return None
    if recipe is None:
        raise InvalidValueError("RECIPE is missing: expected a name of `tinysight recipes`, or a .toml file")
    changes = parse_assignments(assignments)
    if options["data"] is not None:
        changes["data"] = options["data"]
    return load_recipe(recipe, **changes)


def describe(result: dict[str, Any]) -> str:
    """The end of a search for a person."""
    lines = [
        f"trials   {result['num_trials']}: {result['num_whole']} whole, {result['num_pruned']} pruned,"
        f" {result['num_failed']} failed"
    ]
    if result["best_recipe"] is not None:
        values = ", ".join(f"{name}={_short(value)}" for name, value in result["best_values"].items())
        lines += [
            f"best     {result['best_validation_accuracy']:.2%} of {result['num_validation']:,} validation images,"
            f" trial {result['best_trial']}: {values}",
            f"next     tinysight train {result['best_recipe']}",
        ]
    return "\n".join([*lines, f"page     {result['report']}"])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
