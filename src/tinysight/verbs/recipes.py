"""What the shipped recipes are, and how their nets come about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from tinysight.recipe import Recipe, load_recipe, recipe_names

_LIMITS = ("ge", "gt", "le", "lt")
_KINDS = {bool: "true or false", int: "integer", float: "number", str: "text"}


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


def list_fields() -> list[dict[str, str]]:
    """One record a field of a recipe: `name`, `values` and `default` as one types them, and `description`."""
    return [
        {
            "name": name,
            "values": _values(field.annotation, field.metadata),
            "default": _typed(field.default),
            "description": str(field.description),
        }
        for name, field in Recipe.model_fields.items()
    ]


def _values(annotation: Any, bounds: Sequence[Any]) -> str:
    """What a field takes, in words."""
    options = [option for option in get_args(annotation) if option is not type(None)]
    optional = ", or none" if len(options) < len(get_args(annotation)) else ""
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, options))
    if get_origin(annotation) is tuple:
        return f"list of {_KINDS[options[0]]}"
    kind = options[0] if options else annotation
    limits = {name: getattr(bound, name) for bound in bounds for name in _LIMITS if hasattr(bound, name)}
    return _KINDS[kind] + _range(limits) + optional


def _range(limits: Mapping[str, Any]) -> str:
    """Bounds in the words of mathematics: [0, 1) holds 0 and not 1."""
    if not limits:
        return ""
    low = f"[{limits['ge']}" if "ge" in limits else f"({limits.get('gt', '-inf')}"
    high = f"{limits['le']}]" if "le" in limits else f"{limits.get('lt', 'inf')})"
    return f" in {low}, {high}"


def _typed(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else f"{value}"


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
