"""`tinysight report RUN`."""

from __future__ import annotations

from typing import Any

import click

from tinysight.cli.common import json_option, print_json, run_data_dir_option, say


@click.command()
@click.argument("run", metavar="RUN", type=click.Path())
@click.option("--quick", is_flag=True, help="Leave out what takes longer than a few seconds.")
@click.option("--label-folds", type=int, default=0, metavar="N", help="Check training labels too, with N trainings.")
@run_data_dir_option
@json_option
def report(run: str, as_json: bool, **options: Any) -> None:
    """Write the run in folder RUN as one page, report.html, measuring what it lacks first.

    Robustness, scores of foreign images, likely wrong labels, doubles between the splits and what the net looks at are
    measured once and kept in the run.
    """
    from tinysight.verbs import report as verb

    result = verb.report(run, **options, say=say)
    if as_json:
        print_json(result)
        return
    for notice in result["notices"]:
        say(notice)
    click.echo(f"report      {result['report']}  ({result['bytes'] / 1e6:.1f} MB)")
    click.echo(f"model card  {result['model_card']}")
