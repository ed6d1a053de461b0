"""`tinysight bench service`: parse, measure, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tinysight.cli.common import FiniteRange, json_option, print_json, run_data_dir_option, say
from tinysight.cli.table import print_table

if TYPE_CHECKING:
    from tinysight.verbs.bench_service import ServiceBenchmark


@click.command("service")
@click.argument("run", type=click.Path())
@click.option("--clients", "num_clients", type=click.IntRange(1, 1000), default=64, show_default=True, help="At once.")
@click.option("--seconds", type=FiniteRange(0.1), default=60.0, show_default=True, help="Under load, three times over.")
@click.option(
    "--images", "images_per_request", type=click.IntRange(1, 64), default=64, show_default=True, help="Per request."
)
@run_data_dir_option
@json_option
@click.pass_context
def service_command(ctx: click.Context, /, run: str, as_json: bool, **options: Any) -> None:
    """Load the service of the finished run in folder RUN, beside ONNX Runtime alone on the same images."""
    from tinysight.verbs.bench_service import bench_service

    result = bench_service(run, say=say, **options)
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)
    if result.num_errors:
        say(f"tinysight: {result.num_errors:,} requests failed")
        ctx.exit(1)


def _print(result: ServiceBenchmark) -> None:
    click.echo(
        f"{result.processor}, {result.num_clients} clients, {result.seconds:g} s in {result.num_rounds} rounds\n"
    )
    rows = [("asked", "images/s", "of the runtime", "p50", "p99", "requests", "errors")]
    for asked in result.asked:
        rows.append(
            (
                f"service, {asked.images_per_request} {asked.file_format} of {asked.image_bytes:,.0f} bytes a request",
                f"{asked.images_per_second:,.0f}",
                f"{asked.ratio:.0%}",
                f"{asked.p50_ms:,.1f} ms",
                f"{asked.p99_ms:,.1f} ms",
                f"{asked.num_requests:,}",
                ", ".join(f"{count:,} {kind}" for kind, count in asked.errors.items()) or "none",
            )
        )
    rows.append(("ONNX Runtime alone, 256 at once", f"{result.runtime_images_per_second:,.0f}", "", "", "", "", ""))
    print_table(rows)
