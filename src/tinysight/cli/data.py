"""`tinysight data`: list, fetch and look at data sets."""

from __future__ import annotations

from typing import Any

import click

from tinysight.cli.common import data_dir_option, json_option, print_json, say
from tinysight.errors import InvalidValueError, UnknownNameError


class _DataGroup(click.Group):
    prefix = "data"

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UnknownNameError(
                "command", f"{self.prefix} {args[0]}", [f"{self.prefix} {name}" for name in self.commands]
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_DataGroup)
def data() -> None:
    """List, fetch and look at data sets."""


@data.command("list")
@data_dir_option
@json_option
def list_command(data_dir: str | None, as_json: bool) -> None:
    """Say what each data set holds, whether it is on disk and where."""
    from tinysight.verbs.data import list_data

    records = list_data(data_dir)
    if as_json:
        print_json(records)
        return
    head = ("name", "train / test", "image", "classes", "on disk")
    _print_table([head, *(_list_row(record) for record in records)])


@data.command("fetch")
@click.argument("name")
@json_option
def fetch_command(name: str, as_json: bool) -> None:
    """Download the data set NAME into the cache, verified; nothing is done when it is there."""
    from tinysight.verbs.data import fetch_data, is_cache_hidden

    record = fetch_data(name)
    if is_cache_hidden():
        say("TINYSIGHT_DATA is set: other commands look there and not in the cache, until it is unset")
    if as_json:
        print_json(record)
    else:
        click.echo(f"{name}: {'fetched to' if record['downloaded'] else 'already there:'} {record['origin']}")


@data.command("show")
@click.argument("name")
@data_dir_option
@click.option("--split", default="train", show_default=True, help="Which images: train or test.")
@click.option("--rows", default=5, show_default=True, help="Rows of the grid.")
@click.option("--cols", default=5, show_default=True, help="Columns of the grid.")
@click.option("--random", "is_random", is_flag=True, help="A random choice of images rather than the first ones.")
@click.option("--seed", type=int, help="Seed of the random choice.  [default: 0]")
@click.option("--output", type=click.Path(), help="The PNG file to write.  [default: NAME-grid.png]")
@json_option
def show_command(as_json: bool, is_random: bool, seed: int | None, **arguments: Any) -> None:
    """Draw a grid of the data set NAME and count its images per class."""
    from tinysight.verbs.data import show_data

    if seed is not None and not is_random:
        raise InvalidValueError(
            "--seed came without --random; the first images need no seed: leave it out or add --random"
        )
    record = show_data(**arguments, seed=(seed or 0) if is_random else None)
    if as_json:
        print_json(record)
    else:
        _print_shown(record, is_random)


class _CacheGroup(_DataGroup):
    prefix = "data cache"


@data.group("cache", cls=_CacheGroup)
def cache_group() -> None:
    """List and remove decoded images of large folders."""


@cache_group.command("list")
@json_option
def cache_list_command(as_json: bool) -> None:
    """Say whose images are decoded in the cache, how many and how large."""
    from tinysight.verbs.data_cache import list_cache

    records = list_cache()
    if as_json:
        print_json(records)
        return
    head = ("images of", "images", "shape", "size", "state")
    _print_table([head, *(_cache_row(record) for record in records)])


@cache_group.command("clear")
@click.argument("path", required=False)
@json_option
def cache_clear_command(path: str | None, as_json: bool) -> None:
    """Remove the decoded images of PATH, or all of them; your own files stay as they are."""
    from tinysight.verbs.data_cache import clear_cache

    record = clear_cache(path)
    if as_json:
        print_json(record)
        return
    click.echo(f"removed {len(record['removed'])}, {_megabytes(record['num_bytes'])} freed")
    for kept in record["in_use"]:
        click.echo(f"in use, so kept: {kept['data']}")


def _cache_row(record: dict[str, Any]) -> tuple[str, ...]:
    return (
        record["data"],
        f"{record['num_images']:,}",
        _times(record["image_shape"]),
        _megabytes(record["num_bytes"]),
        "whole" if record["is_whole"] else "begun",
    )


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"


def _print_shown(record: dict[str, Any], is_random: bool) -> None:
    shape, (lowest, highest) = _times(record["image_shape"]), record["value_range"]
    click.echo(f"{record['name']}, {record['split']} split: {record['num_images']:,} images of {shape}, ", nl=False)
    click.echo(f"values {lowest} to {highest}, {len(record['classes'])} classes")
    click.echo(f"from {record['origin']}\n")
    rows = [(each["name"], f"{each['num_images']:,}") for each in record["classes"]]
    _print_table([("class", "images"), *rows])
    which = "random" if is_random else "the first"
    click.echo(f"\ngrid of {len(record['indices'])} images ({which}): {record['grid']}")


def _list_row(record: dict[str, Any]) -> tuple[str, ...]:
    where = "no" if record["path"] is None else record["path"]
    if record["missing_files"]:
        where = f"incomplete: {where} lacks {', '.join(record['missing_files'])}"
    return (
        record["name"],
        f"{record['num_train']:,} / {record['num_test']:,}",
        _times(record["image_shape"]),
        str(record["num_classes"]),
        where,
    )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _times(shape: list[int]) -> str:
    return "x".join(map(str, shape))
