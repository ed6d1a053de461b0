"""Options and printing that every command shares: one JSON object on stdout, words on stderr."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from tinysight.errors import InvalidValueError

if TYPE_CHECKING:
    from tinysight.cluster.engine import Cluster

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on stdout, words on stderr.")
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False),
    envvar="TINYSIGHT_DATA",
    help="Folder with extracted archives (cifar-10-batches-bin/, mnist/), used as it lies.  [env: TINYSIGHT_DATA]",
)
run_data_dir_option = click.option(
    "--data-dir",
    type=click.Path(),
    envvar="TINYSIGHT_DATA",
    help="Folder with extracted archives, used as it lies; where your own images lie now, of a run that was trained on"
    " them.  [env: TINYSIGHT_DATA, for archives]",
)

cluster_option = click.option(
    "--cluster", metavar="ADDRESS", help="Train on a Ray cluster: local, auto, HOST:PORT or ray://HOST:PORT."
)
workers_option = click.option("--workers", type=int, metavar="N", help="Processes on the cluster.")


class FiniteRange(click.FloatRange):
    """A number within bounds; neither NaN, which is within any bounds for click, nor infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a number of the range {self._describe_range()}.", param, ctx)
        return number


def connect_cluster(ctx: click.Context, options: dict[str, Any], **more: Any) -> Cluster | None:
    """The cluster of --cluster and --workers, connected until the command ends; None without them.

    Args:
        ctx: the command's.
        options: with `cluster`, `workers` and `device`.
        **more: as `tinysight.cluster.engine.connected` takes it.

    Raises:
        InvalidValueError: when one of the two comes alone, or there is no such cluster.
    """
    address, num_workers = options["cluster"], options["workers"]
    if address is None:
        if num_workers is not None:
            raise InvalidValueError("--workers are of a cluster: expected --cluster, as in --cluster local")
        return None
    if num_workers is None:
        raise InvalidValueError(f"--cluster {address}: expected --workers, how many processes train on it")
    from tinysight.cluster.engine import connected

    cluster: Cluster = ctx.with_resource(connected(address, num_workers, device=options["device"], **more))
    return cluster


def say(text: str) -> None:
    """Words for a person, on stderr, so that stdout stays for results."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """One JSON value on stdout; NaN and infinity are refused, as JSON has neither."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
