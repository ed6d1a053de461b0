"""The command `tinysight`: parse, call one verb, print.

Commands are imported when they are called, so that `--help` and a wrong option answer at once.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import time
from typing import Any, TextIO

import click

from tinysight.errors import TinysightError, UnknownNameError
from tinysight.files import is_disk_full
from tinysight.training.backend import own_process

# Command -> (module with a click command of the same name, help line). The order is the order of `--help`.
COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("tinysight.cli.train", "Train, evaluate and save a model: the main job."),
    "lr-find": ("tinysight.cli.lr_find", "Find a learning rate in a few steps."),
    "tune": ("tinysight.cli.tune", "Search for a recipe's best values, on validation images alone."),
    "evaluate": ("tinysight.cli.evaluate", "Score a run on held-out images, each counted once."),
    "report": ("tinysight.cli.report", "Write one page: how good, how sure, where it fails."),
    "compare": ("tinysight.cli.compare", "Put runs side by side and test their difference."),
    "explain": ("tinysight.cli.explain", "Draw what a net looks at in an image."),
    "calibrate": (
        "tinysight.cli.calibrate",
        "Put a temperature inside a run's model, so that its scores mean what they say.",
    ),
    "predict": ("tinysight.cli.predict", "Classify image files with a run."),
    "data": ("tinysight.cli.data", "List, fetch and look at data sets."),
    "recipes": ("tinysight.cli.recipes", "List recipes, show one, explain its layers."),
    "export": ("tinysight.cli.export", "Write a run as ONNX, LiteRT and more, checked to agree."),
    "serve": ("tinysight.cli.serve", "Serve a run over HTTP."),
    "bench": ("tinysight.cli.bench", "Measure speed, side by side."),
    "tutorials": ("tinysight.cli.tutorials", "Train every tutorial and compare with its published figure."),
    "devices": ("tinysight.cli.devices", "List processors and accelerators."),
}


class LazyGroup(click.Group):
    """A click group whose commands are imported on call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UnknownNameError("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        click.echo(f"tinysight {importlib.metadata.version('tinysight')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print it.")
def tinysight() -> None:
    """Small-image classifiers: learn, train fast, trust the figures, ship.

    `tinysight train` is the place to start.
    """


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 done in part, 2 a person's mistake, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        # A cp1252 or ASCII console gets a replacement character, never a UnicodeEncodeError.
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    own_process()
    started = time.perf_counter()
    try:
        status = tinysight.main(args=arguments, prog_name="tinysight", standalone_mode=False, obj={"started": started})
        if sys.stdout is not None:
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        status = _told(error)
    # Otherwise the collector walks through all of Keras once more before the process ends.
    gc.freeze()
    sys.exit(status if isinstance(status, int) else 0)


def _told(error: Exception | KeyboardInterrupt) -> int:
    """The exit status for what a person can mend, which is said in a line; anything else is raised again."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo("tinysight: interrupted", err=True)
        return 130
    if isinstance(error, TinysightError):
        click.echo(f"tinysight: {error}", err=True)
        return error.exit_status
    status = _told_of_system(error) if isinstance(error, OSError) else None
    if status is None:
        raise error
    return status


def _told_of_system(error: OSError) -> int | None:
    """As `_told`, of what the operating system refused; None for what is none of a person's."""
    if isinstance(error, BrokenPipeError):
        _give_up_when_stuck(sys.stdout)
        sys.stderr.close()
        return 1
    if error.filename is not None:
        click.echo(f"tinysight: cannot use {error.filename}: {error.strerror}; name another place", err=True)
        return 2
    if not is_disk_full(error):
        return None
    with contextlib.suppress(OSError):
        click.echo(
            "tinysight: the disk is full: the output was not written whole; free some space and try again", err=True
        )
    _give_up_when_stuck(sys.stdout)
    _give_up_when_stuck(sys.stderr)
    return 2


def _give_up_when_stuck(stream: TextIO) -> None:
    """What a stream cannot get rid of goes nowhere; Python would try again at its end, complain, and exit with 120."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
