"""What a search may change: recipe fields with their ranges or choices, read from TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pydantic

from tinysight.errors import InvalidValueError, UnknownNameError
from tinysight.recipe import Recipe

# What names a recipe, decides about the data, or would make a search choose by luck or by other images.
FIXED = {
    "name", "description", "source", "published_accuracy", "parameters", "data", "image_size", "channels", "test_split",
    "test_seed", "group_by", "validation", "validation_split", "seed",
}  # fmt: skip
# The shipped space goes from a recipe's learning rate divided by this to that times this.
RATE_FACTOR = 4
# Fields that mean something to some recipes only, or are refused by the others.
_MEANT_FOR: dict[str, Callable[[Recipe], bool]] = {
    "kernel_rate": lambda recipe: recipe.optimizer == "muon",
    "weight_decay": lambda recipe: recipe.optimizer in ("adamw", "sgd", "muon"),
    "warmup": lambda recipe: recipe.schedule in ("triangular", "one_cycle"),
    "label_smoothing": lambda recipe: recipe.loss == "categorical_crossentropy",
}
_KEYS = {"low", "high", "log", "step", "choices"}
_EXPECTED = "low and high, with log or step where wanted, or choices"


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One field of a search: a range, or choices.

    Attributes:
        name: the recipe's field.
        low, high: ends of the range, both included; None where there are choices.
        log: whether the range is searched by orders of magnitude.
        step: distance of the values in it, or None.
        is_whole: whether they are whole numbers.
        choices: what may be chosen, or empty.
    """

    name: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    is_whole: bool = False
    choices: tuple[Any, ...] = ()

    def suggest(self, trial: Any) -> Any:
        """A value, from Optuna's `trial`, for the field."""
        if self.choices:
            return self.decode(trial.suggest_categorical(self.name, [_encode(choice) for choice in self.choices]))
        if self.is_whole:
            return trial.suggest_int(self.name, self.low, self.high, log=self.log, step=int(self.step or 1))
        return trial.suggest_float(self.name, self.low, self.high, log=self.log, step=self.step)

    def decode(self, value: Any) -> Any:
        """The field's value from what is stored of it: a list is stored as JSON."""
        is_list = any(isinstance(choice, list) for choice in self.choices)
        return json.loads(value) if is_list and isinstance(value, str) and value.startswith("[") else value


def _encode(choice: Any) -> Any:
    return json.dumps(choice) if isinstance(choice, list) else choice


def read_space(path: str | Path | None, recipe: Recipe) -> tuple[str, tuple[Dimension, ...]]:
    """(TOML text, dimensions) of a space file, or of the shipped space for the net of `recipe`.

    Raises:
        InvalidValueError: when it cannot be read, or says what cannot be searched.
        UnknownNameError: for a field that no recipe has.
    """
    if path is None:
        text, name = _shipped(recipe), "shipped space"
    else:
        text, name = _read(Path(path)), f"space file {path}"
    return text, parse_space(text, name)


def _shipped(recipe: Recipe) -> str:
    if recipe.model != "fast":
        raise InvalidValueError(
            f"--space is missing: only model=fast has a space of its own, {recipe.name} has model={recipe.model};"
            " expected a TOML file of fields, each with low and high or choices"
        )
    shipped = tomllib.loads((resources.files("tinysight") / "spaces" / "fast.toml").read_text(encoding="utf-8"))
    space = {name: _around(getattr(recipe, name)) for name in ("learning_rate", "kernel_rate")} | shipped
    meant = {name: limits for name, limits in space.items() if name not in _MEANT_FOR or _MEANT_FOR[name](recipe)}
    return "\n".join(_section(name, limits) for name, limits in meant.items())


def _around(rate: float) -> dict[str, Any]:
    return {"low": float(f"{rate / RATE_FACTOR:.3g}"), "high": float(f"{rate * RATE_FACTOR:.3g}"), "log": True}


def _section(name: str, limits: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in limits.items())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise InvalidValueError(f"cannot read the space file {path}: {reason}") from None


def parse_space(text: str, name: str = "space") -> tuple[Dimension, ...]:
    """The dimensions in TOML text: `[field]` with low and high or choices, or `field = [choices]`.

    Args:
        text: the TOML.
        name: what errors call it.

    Raises:
        InvalidValueError, UnknownNameError: as `read_space`.
    """
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidValueError(f"the {name} is no TOML: {error}") from None
    if not fields:
        raise InvalidValueError(f"the {name} is empty; expected recipe fields, each with {_EXPECTED}")
    return tuple(_dimension(field, value, name) for field, value in fields.items())


def _dimension(field: str, value: Any, name: str) -> Dimension:
    if field in FIXED:
        raise InvalidValueError(f"the {name} has {field}, which cannot be searched: it decides by what trials compare")
    if field not in Recipe.model_fields:
        raise UnknownNameError(f"field in the {name}", field, set(Recipe.model_fields) - FIXED)
    where = f"{field} in the {name}"
    if isinstance(value, list):
        value = {"choices": value}
    if not isinstance(value, dict) or value.keys() - _KEYS or not value:
        raise InvalidValueError(f"{where} is {_shown(value)}; expected {_EXPECTED}")
    return _choices(field, value, where) if "choices" in value else _range(field, value, where)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _choices(field: str, value: Mapping[str, Any], where: str) -> Dimension:
    choices = value["choices"]
    if len(value) > 1 or not isinstance(choices, list) or len({_shown_whole(choice) for choice in choices}) < 2:
        raise InvalidValueError(f"{where} is {_shown(value)}; expected at least two different choices and nothing else")
    for choice in choices:
        _check_value(field, choice, where)
    return Dimension(name=field, choices=tuple(choices))


def _shown_whole(choice: Any) -> str:
    return json.dumps(choice, default=str)


def _range(field: str, value: Mapping[str, Any], where: str) -> Dimension:
    kinds = {kind for kind in (get_args(_annotation(field)) or (_annotation(field),)) if kind is not type(None)}
    if get_origin(_annotation(field)) is tuple or not kinds <= {int, float}:
        raise InvalidValueError(f"{where} has a range, but is no number; expected choices")
    is_whole = kinds == {int}
    low, high, step = (value.get(key) for key in ("low", "high", "step"))
    for key, number in (("low", low), ("high", high), *([("step", step)] if step is not None else [])):
        if not _is_number(number, is_whole):
            raise InvalidValueError(
                f"{where} has {key} = {_shown(number)}; expected a {'whole number' if is_whole else 'number'}"
            )
    assert low is not None
    assert high is not None
    log = value.get("log", False)
    _check_range(low, high, log, step, where)
    for end in (low, high):
        _check_value(field, end, where)
    return Dimension(name=field, low=low, high=high, log=log, step=step, is_whole=is_whole)


def _is_number(value: Any, is_whole: bool) -> bool:
    return isinstance(value, int if is_whole else (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _check_range(low: float, high: float, log: Any, step: float | None, where: str) -> None:
    if not isinstance(log, bool):
        raise InvalidValueError(f"{where} has log = {_shown(log)}; expected true or false")
    if low >= high:
        raise InvalidValueError(f"{where} runs from {low:g} to {high:g}; expected low below high")
    if log and low <= 0:
        raise InvalidValueError(f"{where} has log = true and begins at {low:g}; expected low above 0")
    if step is not None and (log or not 0 < step <= high - low):
        raise InvalidValueError(
            f"{where} has step = {step:g}; expected one above 0, no longer than the range, and no log beside it"
        )


def _annotation(field: str) -> Any:
    return Recipe.model_fields[field].annotation


def _check_value(field: str, value: Any, where: str) -> None:
    """Whether the field by itself may have the value; what fits together shows when a trial begins."""
    info = Recipe.model_fields[field]
    annotated: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    # pydantic would take true for 1.
    mixed = isinstance(value, bool) and info.annotation is not bool
    try:
        if not mixed:
            pydantic.TypeAdapter(annotated).validate_python(value)
            return
        expected = "no true or false"
    except pydantic.ValidationError as error:
        message = error.errors()[0]["msg"]
        expected = message[0].lower() + message[1:]
    raise InvalidValueError(f"{where} has {_shown(value)}: {expected} ({info.description})")
