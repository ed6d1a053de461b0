"""Options and printing that every command shares: one JSON object on stdout, words on stderr."""

from __future__ import annotations

import json
from typing import Any

import click

from tinysight.errors import InvalidValueError

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on stdout, words on stderr.")
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False),
    envvar="TINYSIGHT_DATA",
    help="Folder with extracted archives (cifar-10-batches-bin/, mnist/), used as it lies.  [env: TINYSIGHT_DATA]",
)

cluster_option = click.option(
    "--cluster", metavar="ADDRESS", help="Train on a Ray cluster: local, auto, HOST:PORT or ray://HOST:PORT."
)
workers_option = click.option("--workers", type=int, metavar="N", help="Processes on the cluster.")


def check_workers(cluster: str | None, workers: int | None) -> None:
    """Address and number come together.

    Raises:
        InvalidValueError: when one comes alone.
    """
    if cluster is None and workers is not None:
        raise InvalidValueError("--workers are of a cluster: expected --cluster, as in --cluster local")
    if cluster is not None and workers is None:
        raise InvalidValueError(f"--cluster {cluster}: expected --workers, how many processes train on it")


def say(text: str) -> None:
    """Words for a person, on stderr, so that stdout stays for results."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """One JSON value on stdout; NaN and infinity are refused, as JSON has neither."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
