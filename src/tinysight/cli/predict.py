"""`tinysight predict RUN IMAGE...`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import click

from tinysight.cli.common import json_option, print_json, say


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many classes per image.")
@json_option
def predict(run: str, images: tuple[str, ...], top: int, as_json: bool) -> None:
    """Classify image files with a run.

    RUN is a run folder, or an .onnx file that tinysight wrote. IMAGE is a file (PNG, JPEG, WebP, GIF, BMP), a folder
    (with all below it), a quoted pattern as 'photos/*.jpg', or - for standard input. A bad file is named, the rest
    go on, and the exit status is 1.
    """
    from tinysight.serving.image_paths import find_images
    from tinysight.serving.predictor import load_predictor
    from tinysight.verbs.predict import classify

    # Pillow warns about odd but readable metadata; a person can do nothing about it.
    warnings.filterwarnings("ignore", module="PIL")
    found = find_images(images)
    records = classify(load_predictor(run), found, top)
    num_errors = _print_list(records) if as_json else _print_rows(records, max(len(item.path) for item in found))
    if num_errors:
        raise click.exceptions.Exit(1)


def _print_list(records: Iterable[dict[str, Any]]) -> int:
    records = list(records)
    print_json(records)
    return sum("error" in record for record in records)


def _print_rows(records: Iterable[dict[str, Any]], longest: int) -> int:
    num_errors, width = 0, min(longest, 60)
    for record in records:
        path = "".join(letter if letter.isprintable() else "?" for letter in record["path"])
        if "error" in record:
            num_errors += 1
            say(f"tinysight: {path}: {record['error']}")
        else:
            scores = "   ".join(f"{entry['name']} {entry['score']:.4f}" for entry in record["classes"])
            click.echo(f"{path:<{width}}   {scores}")
    return num_errors
