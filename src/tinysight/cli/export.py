"""`tinysight export`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tinysight.cli.common import json_option, print_json, run_data_dir_option, say
from tinysight.cli.table import print_table
from tinysight.export.formats import format_names

if TYPE_CHECKING:
    from tinysight.export.build import Export


@click.command()
@click.argument("run", type=click.Path())
@click.option(
    "--format", "formats", multiple=True, metavar="FORMAT", help=f"Repeatable. One of: {', '.join(format_names())}."
)
@click.option("--quantize", metavar="int8", help="int8: a quarter to two fifths of the size, for onnx and litert.")
@click.option("--force", is_flag=True, help="Keep an int8 file that loses more than a point of accuracy.")
@click.option("--out", type=click.Path(), help="Folder for the files.  [default: exports in the run]")
@run_data_dir_option
@click.option("--model", "own_model", metavar="FILE.py:FUNCTION", help="Your own code, if the net has classes of it.")
@json_option
@click.pass_context
def export(ctx: click.Context, /, run: str, formats: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Write the finished run in folder RUN as files for other programs.

    Every file takes raw pixels, uint8, in batches of any size, gives probabilities, and carries the names of its
    classes. It is compared with Keras on every test image before it is kept.
    """
    from tinysight.verbs.export import export_run

    outcome = export_run(run, formats, say=say, **options)
    if as_json:
        print_json([made.to_dict() for made in outcome.exports])
    elif outcome.exports:
        print_table(_table(outcome.exports))
    for made in outcome.exports:
        if made.wanted.quantize:
            say(_loss(made))
    for failure in outcome.failures:
        say(f"tinysight: {failure}")
    if outcome.failures:
        ctx.exit(1 if outcome.exports else 2)


def _table(exports: list[Export]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("format", "bytes", "largest difference", "same class", "accuracy", "file")]
    for made in exports:
        parity = made.parity
        rows.append(
            (
                made.wanted.title,
                f"{made.num_bytes:,}",
                f"{parity.max_probability_difference:.2g}",
                f"{parity.label_agreement:.2%}",
                f"{parity.accuracy:.2%} ({100 * parity.accuracy_difference:+.2f})",
                str(made.path),
            )
        )
    return rows


def _loss(made: Export) -> str:
    points = 100 * made.parity.accuracy_difference
    loss = "loses no accuracy" if points >= 0 else f"loses {-points:.2f} points of accuracy"
    past = "; more than a point, kept because of --force" if points < -1 else ""
    return f"{made.wanted.title} {loss} on {made.parity.num_images:,} held-out images{past}"
