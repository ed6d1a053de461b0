"""Space files of a search: what they may say, and one line for what they may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinysight.errors import InvalidValueError, TinysightError, UnknownNameError
from tinysight.jobs.space import FIXED, parse_space, read_space
from tinysight.recipe import Recipe, load_recipe, make_recipe

GOOD = """
optimizer = ["adam", "sgd"]
widths = [[8, 16], [16, 32, 64]]
flip_predictions = [true, false]
[learning_rate]
low = 1e-4
high = 1
log = true
[epochs]
low = 2
high = 8
step = 2
[dropout]
low = 0.1
high = 0.5
[batch_size]
choices = [32, 64]
"""


class First:
    """Stands for a trial: always the first choice or the low end."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        assert all(isinstance(choice, None | bool | int | float | str) for choice in choices)
        return choices[0]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool, step: int) -> int:
        assert isinstance(low, int)
        return low

    def suggest_float(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        return low


def test_what_it_says_becomes_a_recipe() -> None:
    space = {dimension.name: dimension for dimension in parse_space(GOOD)}
    assert list(space) == [
        "optimizer", "widths", "flip_predictions", "learning_rate", "epochs", "dropout", "batch_size",
    ]  # fmt: skip
    assert (space["epochs"].is_whole, space["learning_rate"].is_whole) == (True, False)
    assert (space["learning_rate"].log, space["epochs"].step) == (True, 2)
    values = {name: dimension.suggest(First()) for name, dimension in space.items()}
    recipe = make_recipe(values)
    assert (recipe.widths, recipe.optimizer, recipe.learning_rate, recipe.epochs) == ((8, 16), "adam", 1e-4, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected recipe fields, each with low and high"),
        ("[a", "is no TOML: "),
        ("[seed]\nlow = 0\nhigh = 3", "has seed, which cannot be searched"),
        ("learning_rate = 0.1", "learning_rate in the space is 0.1; expected low and high"),
        ("[learning_rate]\nlo = 0.1\nhigh = 1.0", 'is {"lo": 0.1, "high": 1.0}; expected low and high'),
        ("[learning_rate]\nhigh = 1.0", "has low = null; expected a number"),
        ("[learning_rate]\nlow = '1'\nhigh = 2", 'has low = "1"; expected a number'),
        ("[learning_rate]\nlow = 1\nhigh = inf", "expected a number"),
        ("[epochs]\nlow = 1.5\nhigh = 3", "has low = 1.5; expected a whole number"),
        ("[epochs]\nlow = true\nhigh = 3", "has low = true; expected a whole number"),
        ("[epochs]\nlow = 0\nhigh = 3", "epochs in the space has 0: input should be greater than or equal to 1"),
        ("[learning_rate]\nlow = 1\nhigh = 1", "runs from 1 to 1; expected low below high"),
        ("[dropout]\nlow = 0\nhigh = 0.5\nlog = true", "begins at 0; expected low above 0"),
        ("[dropout]\nlow = 0\nhigh = 0.5\nlog = 1", "has log = 1; expected true or false"),
        ("[epochs]\nlow = 1\nhigh = 3\nstep = 5", "has step = 5; expected one above 0"),
        ("[epochs]\nlow = 1\nhigh = 3\nstep = 0", "has step = 0; expected one above 0"),
        ("[optimizer]\nlow = 1\nhigh = 3", "optimizer in the space has a range, but is no number; expected choices"),
        ("[widths]\nlow = 1\nhigh = 3", "has a range, but is no number"),
        ("optimizer = ['adam']", "expected at least two different choices"),
        ("optimizer = ['adam', 'adam']", "expected at least two different choices"),
        ("[optimizer]\nchoices = ['adam', 'sgd']\nlow = 1", "expected at least two different choices and nothing else"),
        ("[optimizer]\nchoices = 'adam'", "expected at least two different choices"),
        ("optimizer = ['adam', 'adamm']", "optimizer in the space has \"adamm\": input should be 'adam', 'adamw'"),
        ("widths = [[8], ['a']]", 'widths in the space has ["a"]'),
        ("epochs = [1, true]", "epochs in the space has true: no true or false"),
    ],
)
def test_one_line_says_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(InvalidValueError) as error:
        parse_space(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_field_that_no_recipe_has() -> None:
    with pytest.raises(UnknownNameError, match="unknown field in the space 'learning_rat': did you mean 'learning_r"):
        parse_space("[learning_rat]\nlow = 1\nhigh = 2")


def test_the_shipped_space_is_for_fast_nets() -> None:
    _, space = read_space(None, load_recipe("quick"))
    values = {dimension.name: dimension.suggest(First()) for dimension in space}
    assert load_recipe("quick", **values).model == "fast"
    with pytest.raises(InvalidValueError, match="--space is missing: only model=fast has a space of its own"):
        read_space(None, load_recipe("day4"))


def test_the_shipped_space_is_around_the_recipes_own_rates() -> None:
    _, space = read_space(None, load_recipe("quick"))
    limits = {dimension.name: (dimension.low, dimension.high, dimension.log) for dimension in space}
    assert limits["learning_rate"] == (0.05, 0.8, True)
    assert limits["kernel_rate"] == (0.03, 0.48, True)


@pytest.mark.parametrize(
    ("fields", "left_out"),
    [
        ({}, []),
        ({"optimizer": "sgd"}, ["kernel_rate"]),
        ({"optimizer": "adam", "learning_rate": 0.002}, ["kernel_rate", "weight_decay"]),
        ({"schedule": "cosine"}, ["warmup"]),
        ({"loss": "sparse_categorical_crossentropy", "label_smoothing": 0}, ["label_smoothing"]),
    ],
    ids=str,
)
def test_the_shipped_space_fits_the_recipe(fields: dict[str, Any], left_out: list[str]) -> None:
    """Both ends of every range are recipes; what means nothing to the recipe is not searched."""
    everything = {dimension.name for dimension in read_space(None, load_recipe("quick"))[1]}
    recipe = load_recipe("quick", **fields)
    _, space = read_space(None, recipe)
    assert everything - {dimension.name for dimension in space} == set(left_out)
    for end in ("low", "high"):
        assert recipe.replace(**{dimension.name: getattr(dimension, end) for dimension in space}).model == "fast"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"\xe9")
    for name in ("gone.toml", "latin.toml"):
        with pytest.raises(TinysightError, match=f"cannot read the space file .*{name}"):
            read_space(tmp_path / name, load_recipe("quick"))


def test_what_is_fixed_exists() -> None:
    assert set(Recipe.model_fields) >= FIXED
