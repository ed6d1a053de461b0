"""`tinysight data`: list, fetch and look at data sets."""

from __future__ import annotations

from typing import Any

import click

from tinysight.cli.common import data_dir_option, json_option, print_json, say
from tinysight.errors import InvalidValueError, UnknownNameError

_MAX_SHOWN = 5


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


@data.command("check")
@click.argument("path")
@click.option("--group-by", metavar="COLUMN|REGEX", help="What images of one object have in common.")
@click.option("--html", type=click.Path(dir_okay=False), help="Also write a page with the pictures to this file.")
@json_option
@click.pass_context
def check_command(ctx: click.Context, path: str, group_by: str | None, html: str | None, as_json: bool) -> None:
    """Look at your own images before training: a folder, .csv, .jsonl or .npz.

    Exit status: 0 fine or warnings alone, 1 problems that change results, 2 nothing that can be trained on.
    """
    from tinysight.verbs.data_check import check_data, write_page

    checked = check_data(path, group_by=group_by)
    if html is not None:
        say(f"page: {write_page(checked, html)}")
    if as_json:
        print_json(checked.record)
    else:
        _print_checked(checked.record)
    if checked.record["num_problems"]:
        ctx.exit(1)


def _print_checked(record: dict[str, Any]) -> None:
    colours = "grey" if record["channels"] == 1 else "colour"
    click.echo(f"{record['data']} ({record['layout']})")
    click.echo(
        f"{record['num_images']:,} images in {len(record['classes'])} classes; proposed input"
        f" {_times(record['image_size'])}, {colours}\n"
    )
    splits = list(record["splits"])
    rows = [
        (each["name"], f"{each['num_images']:,}", *(f"{each['splits'][split]:,}" for split in splits))
        for each in record["classes"]
    ]
    _print_table([("class", "images", *splits), *rows])
    for name, key in (("sizes", "sizes"), ("pixels", "modes"), ("formats", "formats")):
        if record[key]:
            click.echo(f"{'' if key != 'sizes' else chr(10)}{name}: {_most(record[key])}")
    for finding in record["findings"]:
        click.echo(f"\n{finding['severity']}: {finding['text']}")
        for entry in finding["entries"][:_MAX_SHOWN]:
            click.echo(f"  {_entry_line(entry)}")
        if finding["num_entries"] > _MAX_SHOWN:
            click.echo(f"  and {finding['num_entries'] - _MAX_SHOWN:,} more; --json or --html shows them")
    click.echo(f"\nproblems: {record['num_problems']}, warnings: {record['num_warnings']}")


def _most(records: list[dict[str, Any]]) -> str:
    shown = [
        f"{'x'.join(str(value) for key, value in each.items() if key != 'num_images')} ({each['num_images']:,})"
        for each in records[:_MAX_SHOWN]
    ]
    return ", ".join(shown) + (f" and {len(records) - _MAX_SHOWN:,} more" if len(records) > _MAX_SHOWN else "")


def _entry_line(entry: dict[str, Any]) -> str:
    names = entry["paths"]
    if "classes" in entry:
        names = [f"{name} ({label})" for name, label in zip(names, entry["classes"], strict=True)]
    line = ", ".join(names[:_MAX_SHOWN]) + (f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else "")
    if "similarity" in entry:
        line += f", similarity {entry['similarity']:.3f}"
    return f"{line}: {entry['note']}" if "note" in entry else line


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
