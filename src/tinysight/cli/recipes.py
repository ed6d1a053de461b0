"""`tinysight recipes`."""

from __future__ import annotations

from typing import Any

import click

from tinysight.cli.common import json_option, print_json


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def recipes(ctx: click.Context, as_json: bool) -> None:
    """List the shipped recipes; `show NAME` prints one, `fields` says what a recipe may hold."""
    if ctx.invoked_subcommand is not None:
        return
    from tinysight.verbs.recipes import list_recipes

    found = list_recipes()
    if as_json:
        print_json(found)
        return
    click.echo(f"{'recipe':15} {'data':10} {'parameters':>10}  published  description")
    for entry in found:
        published = "-" if entry["published_accuracy"] is None else f"{entry['published_accuracy']:.2%}"
        parameters = "-" if entry["parameters"] is None else f"{entry['parameters']:,}"
        click.echo(f"{entry['name']:15} {entry['data']:10} {parameters:>10}  {published:>9}  {entry['description']}")


@recipes.command()
@click.argument("name")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a field first; repeatable.")
@click.option("--summary", "with_summary", is_flag=True, help="Print Keras's summary table of the net.")
@click.option(
    "--explain", "with_explanation", is_flag=True, help="Say how each layer's shape and parameters come about."
)
@json_option
def show(name: str, assignments: tuple[str, ...], with_summary: bool, with_explanation: bool, as_json: bool) -> None:
    """Print the recipe NAME (or a .toml file), every field with its value."""
    from tinysight.recipe import load_recipe, parse_assignments, recipe_text, to_toml
    from tinysight.verbs import recipes as verb

    recipe = load_recipe(name, **parse_assignments(assignments))
    rows = verb.explanation(recipe) if with_explanation else []
    table = verb.summary(recipe) if with_summary else ""
    if as_json:
        value: dict[str, Any] = recipe.model_dump()
        value |= {"summary": table} if with_summary else {}
        value |= {"explanation": [{"layer": row, "words": words} for row, words in rows]} if with_explanation else {}
        print_json(value)
        return
    if not with_summary and not with_explanation:
        header = [line[2:] for line in recipe_text(name).splitlines() if line.startswith("# ")]
        click.echo(to_toml(recipe, "\n".join(header)), nl=False)
    if with_summary:
        click.echo(table)
    for row, words in rows:
        click.echo(f"{row}\n    {words}")


@recipes.command()
@json_option
def fields(as_json: bool) -> None:
    """List the fields of a recipe: what each takes, its default and what it means."""
    from tinysight.verbs.recipes import list_fields

    found = list_fields()
    if as_json:
        print_json(found)
        return
    for entry in found:
        click.echo(f"{entry['name']} = {entry['default']}  ({entry['values']})\n    {entry['description']}")
