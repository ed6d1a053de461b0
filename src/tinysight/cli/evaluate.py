"""`tinysight evaluate`."""

from __future__ import annotations

from typing import Any

import click

from tinysight.cli.common import json_option, print_json, run_data_dir_option


@click.command()
@click.argument("run", type=click.Path())
@click.option("--data", "data_name", metavar="NAME", help="Another data set, or a folder of labelled images.")
@run_data_dir_option
@click.option("--split", type=click.Choice(["test", "train"]), default="test", show_default=True)
@json_option
def evaluate(run: str, data_name: str | None, data_dir: str | None, split: str, as_json: bool) -> None:
    """Score the finished run in folder RUN on held-out images, each counted once."""
    from tinysight.verbs import evaluate as verb

    result = verb.evaluate(run, data=data_name, data_dir=data_dir, split=split)
    if as_json:
        print_json(result.to_dict())
        return
    summary = result.summary
    which = "all of it" if result.split == "all" else f"{result.split} split"
    click.echo(f"{result.data}, {which}, {summary.num_images:,} images, each counted once\n")
    for name, figure in summary.figures.items():
        interval = "" if figure.low is None else f"  95 % interval {figure.low:.4f} to {figure.high:.4f}"
        click.echo(f"{name.replace('_', ' '):18} {figure.value:.4f}{interval}")
    click.echo("\n" + "\n".join(_class_table(summary)))
    if len(summary.class_names) <= 20:
        click.echo("\n" + "\n".join(_confusion_table(summary)))
    click.echo(f"\npicture: {result.confusion_plot}")


def _class_table(summary: Any) -> list[str]:
    width = max(5, *(len(name) for name in summary.class_names))
    lines = [f"{'class':{width}}      n  accuracy  precision     F1"]
    for scores in summary.classes:
        figures = [scores.recall.value, scores.precision.value, scores.f1.value]
        accuracy, precision, f1 = ("-" if value is None else f"{value:.3f}" for value in figures)
        lines.append(f"{scores.name:{width}} {scores.support:6,}  {accuracy:>8}  {precision:>9}  {f1:>5}")
    return lines


def _confusion_table(summary: Any) -> list[str]:
    """Rows are true classes, columns predicted ones, named by their first letters."""
    names, cell = summary.class_names, max(6, len(str(summary.confusion.max())) + 1)
    corner = "true, predicted"
    width = max(len(corner), *(len(name) for name in names))
    lines = [f"{corner:{width}} " + "".join(f"{name[: cell - 1]:>{cell}}" for name in names)]
    for name, row in zip(names, summary.confusion, strict=True):
        lines.append(f"{name:{width}} " + "".join(f"{count:>{cell}}" for count in row))
    return lines
