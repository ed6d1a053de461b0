"""`tinysight bench train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tinysight.cli.common import data_dir_option, json_option, print_json, say

if TYPE_CHECKING:
    from tinysight.verbs.bench_train import Results


@click.command("train")
@click.option("--measure", "measures", multiple=True, metavar="NAME", help="Only this measure; repeatable.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Turns of the two sides.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings of cifar10-94.")
@data_dir_option
@click.option("--out", type=click.Path(dir_okay=False), help="A page to write, or to put these measures into.")
@click.option("--keep", type=click.Path(file_okay=False), help="A new folder in which the trained runs stay.")
@click.option("--note", default="", help="A line for the page, as which test images these are.")
@click.option("--rehearse", is_flag=True, help="Few images, one epoch, one round: does everything work?")
@json_option
def train_command(as_json: bool, **options: Any) -> None:
    """Set training and prediction beside plain Keras, in turn, as whole processes.

    Without --measure, all that are possible here: hours, in which nothing else should run.
    """
    from tinysight.verbs.bench_train import bench_train

    results = bench_train(say=say, **options)
    if as_json:
        print_json(results.to_dict())
    else:
        _print_results(results, is_rehearsal=options["rehearse"])


def _print_results(results: Results, *, is_rehearsal: bool) -> None:
    from tinysight.benchmarks.page import machine_lines

    click.echo("\n".join(machine_lines(results.machine)))
    for taken in results.taken:
        click.echo("\n".join(["", f"## {taken.measure.name}: {taken.outcome.measured}", "", *taken.outcome.lines]))
    if is_rehearsal:
        click.echo("\na rehearsal: everything works, and the figures mean nothing")
    if results.page is not None:
        click.echo(f"\npage: {results.page}")
