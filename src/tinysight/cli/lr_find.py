"""`tinysight lr-find`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tinysight.cli.common import data_dir_option, json_option, print_json, say
from tinysight.errors import InvalidValueError

if TYPE_CHECKING:
    from tinysight.verbs.lr_find import Found

SHORTCUTS = ("data", "model")
# Less than this share of the loss is lost in noise.
SMALL_FALL = 0.05


@click.command("lr-find")
@click.argument("recipe", required=False)
@click.option("--data", metavar="NAME", help="Data set by name, or a folder of your own images.")
@data_dir_option
@click.option("--model", metavar="FILE.py:FUNCTION", help="A model of your own: a function that returns a Keras model.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Any field of the recipe; repeatable.")
@click.option("--steps", type=int, default=200, show_default=True, help="Steps to train for.")
@click.option("--lowest", type=float, default=1e-5, show_default=True, help="Learning rate of the first step.")
@click.option("--highest", type=float, default=10.0, show_default=True, help="Learning rate of the last step.")
@click.option(
    "--out", type=click.Path(dir_okay=False), help="The picture, .png or .svg.  [default: lr-find-RECIPE.png]"
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, gpu or gpu:N.")
@json_option
def lr_find(
    recipe: str | None, as_json: bool, assignments: tuple[str, ...], data_dir: str | None, steps: int, **options: Any
) -> None:
    """Find a learning rate: train a few steps at rising rates and see where the loss falls fastest.

    RECIPE is a name that `tinysight recipes` lists, or a .toml file of your own. Trains on training images only, keeps
    no model, and writes the curve as a picture and as JSON beside it.
    """
    from tinysight.data.source import choose_data
    from tinysight.recipe import DEFAULT_RECIPE, load_recipe, parse_assignments
    from tinysight.training.backend import parse_device
    from tinysight.verbs.lr_find import lr_find as verb

    parse_device(options["device"])
    changes = {key: options.pop(key) for key in SHORTCUTS}
    changes = {key: value for key, value in changes.items() if value is not None}
    assigned = parse_assignments(assignments)
    for key in changes.keys() & assigned.keys():
        raise InvalidValueError(f"{key} came twice, with --{key} and with --set: keep one of them")
    changes |= assigned
    loaded = load_recipe(recipe or DEFAULT_RECIPE, **changes)
    data = choose_data(loaded, data_dir, anything=recipe is None and "data" not in changes, say=say)
    say(f"{loaded.name} on {data.name}: {steps} steps from {options['lowest']:g} to {options['highest']:g}")
    found = verb(loaded, data, num_steps=steps, **options)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(_describe(found))


def _describe(found: Found) -> str:
    choice, recipe = found.choice, found.recipe
    ends = {
        "highest rate": "the highest rate was reached",
        "diverged": "the loss diverged",
        "not finite": "the loss became NaN or infinite",
    }
    is_rising = choice.lowest_loss < found.test.rates[-1]
    beyond = "from there on it rises" if is_rising else "it was still falling: a higher --highest would say more"
    lines = [
        f"learning rate {choice.suggested:.2g}  (the loss falls fastest there; {recipe.name} has"
        f" {recipe.learning_rate:g})",
        f"the loss is lowest at {choice.lowest_loss:.2g}, {choice.fall:.0%} below its start; {beyond}",
        f"{len(found.test.rates)} steps; {ends[found.test.end]} at {found.test.rates[-1]:.2g}",
    ]
    if found.kernel_rate is not None:
        lines.insert(
            1, f"with it goes --set kernel_rate={found.kernel_rate:.2g} (convolutions have a rate of their own)"
        )
    if choice.fall < SMALL_FALL:
        lines.append("the loss fell by little: more --steps make the rate surer")
    return "\n".join([*lines, f"curve         {found.plot}  {found.record}"])
