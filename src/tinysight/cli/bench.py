"""`tinysight bench`: measurements on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tinysight.cli.bench_service import service_command
from tinysight.cli.bench_train import train_command
from tinysight.cli.common import json_option, print_json, run_data_dir_option, say
from tinysight.cli.table import print_table
from tinysight.errors import UnknownNameError

if TYPE_CHECKING:
    from tinysight.verbs.bench_exports import Benchmark


class _BenchGroup(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UnknownNameError("command", f"bench {args[0]}", [f"bench {name}" for name in self.commands])
        return super().resolve_command(ctx, args)


@click.group(cls=_BenchGroup)
def bench() -> None:
    """Measure on this machine."""


bench.add_command(service_command)
bench.add_command(train_command)


@bench.command("exports")
@click.argument("run", type=click.Path())
@run_data_dir_option
@click.option("--model", "own_model", metavar="FILE.py:FUNCTION", help="Your own code, if the net has classes of it.")
@json_option
@click.pass_context
def exports_command(ctx: click.Context, /, run: str, as_json: bool, **options: Any) -> None:
    """Compare the formats of the finished run in folder RUN: size, latency, images/s, accuracy."""
    from tinysight.verbs.bench_exports import bench_exports

    result = bench_exports(run, say=say, **options)
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)
    for failure in result.failures:
        say(f"tinysight: {failure}")
    if result.failures:
        ctx.exit(1)


def _print(result: Benchmark) -> None:
    click.echo(
        f"{result.processor}, {result.num_threads} threads; {result.num_images:,} test images of {result.data}\n"
    )
    rows = [("runtime", "kB", "one image p50", "p99", "images/s at 256", "accuracy")]
    for row in result.rows:
        timing = row.timing
        rows.append(
            (
                row.runtime,
                f"{row.num_bytes / 1000:,.0f}",
                f"{timing.p50_ms:.2f} ms",
                f"{timing.p99_ms:.2f} ms",
                f"{timing.images_per_second:,.0f}",
                f"{row.accuracy:.2%}",
            )
        )
    print_table(rows)
    click.echo(f"\npicture: {result.plot}")
