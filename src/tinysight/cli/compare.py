"""`tinysight compare RUN RUN...`."""

from __future__ import annotations

from typing import Any

import click

from tinysight.cli.common import json_option, print_json
from tinysight.cli.table import print_table


@click.command()
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--output", type=click.Path(dir_okay=False), default="comparison.html", show_default=True, help="The page to write."
)
@json_option
def compare(runs: tuple[str, ...], output: str, as_json: bool) -> None:
    """Put finished runs side by side, and say whether their difference is more than chance.

    The runs must have been tested on the same images.
    """
    from tinysight.verbs import compare as verb

    result = verb.compare(runs, output=output)
    if as_json:
        print_json({**result.sides.to_dict(), "page": str(result.page)})
        return
    sides = result.sides
    print_table([("", *(column.name for column in sides.columns)), *_rows(sides)])
    click.echo()
    for test in sides.tests:
        click.echo(test.result.verdict)
    for group in sides.groups:
        click.echo(group.words)
    for comparison in sides.seed_tests:
        click.echo(comparison.verdict)
    for notice in sides.notices:
        click.echo(notice)
    click.echo(f"\npage  {result.page}")


def _rows(sides: Any) -> list[tuple[str, ...]]:
    from tinysight.report.labels import shorten

    first = sides.columns[0]
    rows = [
        (row.title.lower(), *(column.figures[key].text for column in sides.columns))
        for key, row in first.figures.items()
    ]
    rows += [
        (name, *(column.facts[index][1] for column in sides.columns))
        for index, (name, _) in enumerate(first.facts)
        if name != "machine"
    ]
    shown = {"name", "parameters", "epochs"}
    rows += [(name, *(shorten(value, 40) for value in values)) for name, values in sides.differing if name not in shown]
    return rows
