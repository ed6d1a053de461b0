"""What the shipped recipes are, and how their nets come about."""

from __future__ import annotations

from typing import Any

from tinysight.recipe import Recipe, load_recipe, recipe_names


def list_recipes() -> list[dict[str, Any]]:
    """One record a shipped recipe, as `--json` prints it."""
    return [describe(load_recipe(name)) for name in recipe_names()]


def describe(recipe: Recipe) -> dict[str, Any]:
    """`name`, `data`, `parameters`, `published_accuracy` (0..1, or None) and `description`."""
    return {
        "name": recipe.name,
        "data": recipe.data,
        "parameters": recipe.parameters,
        "published_accuracy": recipe.published_accuracy,
        "description": recipe.description,
    }


def net_of(recipe: Recipe) -> Any:
    """The untrained net of `recipe` for the image shape and classes of its data set.

    Raises:
        TinysightError: when the recipe's data, model or layers are not known or do not fit together.
    """
    from tinysight.data import catalog
    from tinysight.training.backend import choose_backend

    entry = catalog.find_entry(recipe.data)
    choose_backend("cpu")
    from tinysight.models.registry import build_net

    return build_net(recipe, entry.image_shape, entry.num_classes)


def summary(recipe: Recipe) -> str:
    """Keras's summary table of the recipe's net."""
    net = net_of(recipe)
    from tinysight.models.explain import summary_text

    return summary_text(net)


def explanation(recipe: Recipe) -> list[tuple[str, str]]:
    """For each layer its row, and in words how its shape and parameters come about."""
    net = net_of(recipe)
    from tinysight.models.explain import explain

    return explain(net)
