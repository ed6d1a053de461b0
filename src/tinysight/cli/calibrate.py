"""`tinysight calibrate RUN`."""

from __future__ import annotations

from typing import Any

import click

from tinysight.cli.common import json_option, print_json, say


@click.command()
@click.argument("run", metavar="RUN", type=click.Path())
@json_option
def calibrate(run: str, as_json: bool) -> None:
    """Make the scores of the finished run in folder RUN honest, inside its saved and exported models.

    A temperature is fitted on the validation images. The predicted classes stay the same. What was there before is kept
    in RUN/uncalibrated.
    """
    from tinysight.verbs import calibrate as verb

    record = verb.calibrate(run, say=say)
    if as_json:
        print_json(record)
        return
    sense = "less sure" if record["temperature"] > 1 else "surer"
    click.echo(
        f"temperature {record['temperature']:.4f}, fitted on {record['num_images']:,} validation images:"
        f" scores are {sense} than before\n"
    )
    click.echo(f"{'':12} {'log loss':>20} {'calibration error':>22}")
    for split in ("validation", "test"):
        click.echo(f"{split:12} {_change(record[split], 'log_loss'):>20} {_error_change(record[split]):>22}")


def _change(split: dict[str, Any], name: str) -> str:
    return f"{split['before'][name]['value']:.4f} -> {split['after'][name]['value']:.4f}"


def _error_change(split: dict[str, Any]) -> str:
    before, after = (split[when]["expected_calibration_error"]["value"] for when in ("before", "after"))
    return f"{before:.2%} -> {after:.2%}"
