"""`tinysight explain RUN IMAGE...`."""

from __future__ import annotations

import warnings

import click

from tinysight.cli.common import json_option, print_json, say


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--output", type=click.Path(file_okay=False), help="Folder for the pictures; RUN/explanations without.")
@json_option
def explain(run: str, images: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Draw what the net of RUN sees in images: where it looks, layer by layer, beside fixed kernels.

    IMAGE is a file, a folder (with all below it) or a quoted pattern as 'photos/*.jpg'. A bad file is named, the rest
    go on, and the exit status is 1.
    """
    from tinysight.verbs import explain as verb

    # Pillow warns about odd but readable metadata; a person can do nothing about it.
    warnings.filterwarnings("ignore", module="PIL")
    result = verb.explain(run, images, output=output, say=say)
    if as_json:
        print_json(result)
    for record in result["images"]:
        if "error" in record:
            say(f"tinysight: {record['path']}: {record['error']}")
        elif not as_json:
            click.echo(f"{record['path']}   {record['predicted']} {record['score']:.4f}")
            click.echo("\n".join(f"    {file}" for file in record["files"]))
    if not as_json and result["kernels"] is not None:
        click.echo(f"first layer: {result['kernels']}")
    if any("error" in record for record in result["images"]):
        raise click.exceptions.Exit(1)
