"""`tinysight tutorials`."""

from __future__ import annotations

import click

from tinysight.cli.common import data_dir_option, json_option, print_json, say


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Trainings of each recipe.")
@click.option("--only", multiple=True, metavar="RECIPE", help="Train only this tutorial; repeatable.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change every recipe; repeatable.")
@data_dir_option
@click.option("--out", default="runs/tutorials", show_default=True, type=click.Path(), help="Folder of runs and table.")
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def tutorials(
    seeds: int,
    only: tuple[str, ...],
    assignments: tuple[str, ...],
    data_dir: str | None,
    out: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train every tutorial as published and set it against its published accuracy."""
    from tinysight.recipe import TUTORIALS
    from tinysight.verbs import tutorials as verb

    records = verb.tutorials(
        seeds=seeds, only=only or TUTORIALS, assignments=assignments, data_dir=data_dir, out=out, quiet=quiet,
        say=(lambda text: None) if quiet else say,
    )  # fmt: skip
    if as_json:
        print_json(records)
        return
    click.echo(verb.markdown(records), nl=False)
    click.echo(f"\ntable and runs: {out}")
