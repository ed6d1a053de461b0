"""`tinysight devices`."""

from __future__ import annotations

import click

from tinysight.cli.common import json_option, print_json


@click.command()
@json_option
def devices(as_json: bool) -> None:
    """List processors and accelerators, and the backend that would train on them."""
    from tinysight.verbs.devices import devices as verb

    found = verb()
    if as_json:
        print_json(found)
        return
    for device in found:
        click.echo(f"{device['name']:8} {device['description']}  (backend: {device['backend']})")
    if all(device["kind"] == "cpu" for device in found):
        click.echo('no GPU; on Linux with CUDA, `pip install "tinysight[gpu]"` trains on one')
