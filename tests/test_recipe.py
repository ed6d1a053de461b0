"""The recipe record, its files and its words on the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tinysight.errors import InvalidValueError, UnknownNameError
from tinysight.recipe import (
    TUTORIALS,
    Recipe,
    load_recipe,
    make_recipe,
    parse_assignments,
    recipe_names,
    recipe_text,
    to_toml,
)

THREE_CONVOLUTIONS = ("conv 32", "pool", "conv 64", "pool", "conv 64", "flatten", "dense 64")
# As each tutorial has it: everything that decides about its training, whatever our defaults become.
AS_PUBLISHED: dict[str, dict[str, Any]] = {
    "tensorflow": {
        "published_accuracy": 0.7076, "parameters": 122_570, "data": "cifar10", "layers": THREE_CONVOLUTIONS,
    },
    "mnist-softmax": {
        "published_accuracy": 0.9247, "parameters": 7_850, "data": "mnist", "layers": ("flatten",), "epochs": 5,
    },
    "mnist-cnn": {
        "published_accuracy": 0.9902, "parameters": 93_322, "data": "mnist", "epochs": 5,
        "layers": (*THREE_CONVOLUTIONS, "dropout 0.5"),
    },
    "two-conv": {
        "published_accuracy": 0.6830, "parameters": 1_060_138, "data": "cifar10", "padding": "same", "batch_size": 10,
        "layers": ("conv 32", "conv 32", "pool", "dropout 0.5", "flatten", "dense 128"),
        "metric": "sparse_categorical_accuracy",
    },
    "leaky-adamax": {
        "published_accuracy": 0.7913, "parameters": 1_084_234, "data": "cifar10", "scaling": "-0.5..0.5",
        "loss": "categorical_crossentropy", "padding": "same", "activation": "leaky_relu", "leaky_slope": 0.1,
        "layers": (
            "conv 16", "conv 32", "pool", "dropout 0.25", "conv 32", "conv 64", "pool", "dropout 0.25",
            "flatten", "dense 256", "dropout 0.5",
        ),
        "optimizer": "adamax", "learning_rate": 0.005, "schedule": "exponential", "schedule_decay": 0.9,
        "batch_size": 64,
    },
    "day4": {
        "published_accuracy": None, "parameters": 315_722, "data": "cifar10", "loss": "categorical_crossentropy",
        "layers": ("conv 32", "pool", "conv 64", "pool", "flatten", "dense 128", "dropout 0.5"),
        "batch_size": 64, "validation": "last", "validation_split": 0.2,
    },
}  # fmt: skip
COMMON = {
    "model": "cnn", "scaling": "0..1", "activation": "relu", "kernel_size": 3, "strides": 1, "padding": "valid",
    "pooling": "max", "pool_size": 2, "loss": "sparse_categorical_crossentropy", "label_smoothing": 0.0,
    "metric": "accuracy", "optimizer": "adam", "learning_rate": 0.001, "weight_decay": 0.0, "schedule": "constant",
    "batch_size": 32, "epochs": 10, "flip": "none", "translate": 0, "cutout": 0, "flip_predictions": False,
}  # fmt: skip


class TestShipped:
    @pytest.mark.parametrize("name", TUTORIALS)
    def test_tutorials_are_as_published(self, name: str) -> None:
        recipe = load_recipe(name).model_dump()
        expected = {**COMMON, **AS_PUBLISHED[name]}
        assert {key: recipe[key] for key in expected} == expected

    def test_the_tutorials_come_first(self) -> None:
        assert tuple(recipe_names()[: len(TUTORIALS)]) == TUTORIALS == tuple(AS_PUBLISHED)

    @pytest.mark.parametrize("name", recipe_names())
    def test_named_after_their_file_and_described(self, name: str) -> None:
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.description

    @pytest.mark.parametrize("name", recipe_names())
    def test_the_header_names_the_command(self, name: str) -> None:
        header = [line for line in recipe_text(name).splitlines() if line.startswith("#")]
        assert any(f"tinysight train {name}" in line for line in header)

    @pytest.mark.parametrize("name", recipe_names())
    def test_round_trip(self, name: str, tmp_path: Path) -> None:
        recipe = load_recipe(name, seed=3)
        path = tmp_path / f"{name}.toml"
        path.write_text(to_toml(recipe, "a header\n\nof lines"), encoding="utf-8")
        assert load_recipe(str(path)) == recipe


class TestRecord:
    def test_frozen(self) -> None:
        with pytest.raises(ValidationError):
            Recipe().epochs = 3  # type: ignore[misc]

    def test_every_field_has_a_default_and_words(self) -> None:
        for name, field in Recipe.model_fields.items():
            assert not field.is_required(), name
            assert field.description, name

    def test_replace_checks(self) -> None:
        assert Recipe().replace(epochs=3).epochs == 3
        with pytest.raises(UnknownNameError, match="did you mean 'epochs'"):
            Recipe().replace(epoch=3)

    def test_changed(self) -> None:
        assert Recipe(epochs=3).changed() == {"epochs": 3}

    def test_odd_text_round_trip(self) -> None:
        recipe = Recipe(description='a "quoted" \\ back\tslash\nline \x7f\x01 é', learning_rate=1e-7, source="#")
        assert make_recipe(tomllib.loads(to_toml(recipe))) == recipe

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"epochs": 0}, "epochs = 0: input should be greater than or equal to 1"),
            ({"epochs": 1.5}, "epochs = 1.5: "),
            ({"learning_rate": float("nan")}, "learning_rate = nan: "),
            ({"learning_rate": float("inf")}, "learning_rate = inf: "),
            ({"learning_rate": -1}, "learning_rate = -1: input should be greater than 0"),
            ({"activation": "rellu"}, "activation = 'rellu': input should be 'relu', "),
            ({"layers": "conv 32"}, "layers = 'conv 32': "),
            ({"widths": ["x"]}, "widths = 'x': "),
            ({"seed": 2**31}, "seed = 2147483648: "),
            ({"dropout": 1.0}, "dropout = 1.0: input should be less than 1"),
            ({"label_smoothing": 0.1}, "needs loss=categorical_crossentropy"),
            ({"weight_decay": 0.1}, "weight_decay is of adamw, sgd and muon, not of adam"),
            ({"metric": "categorical_accuracy"}, "metric=accuracy fits both"),
            (
                {"metric": "sparse_categorical_accuracy", "loss": "categorical_crossentropy"},
                "has other labels than loss=categorical_crossentropy",
            ),
            ({"epochs": True}, "epochs = True: expected no true or false"),
        ],
    )
    def test_values_that_do_not_fit(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidValueError) as error:
            make_recipe(values)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


class TestAssignments:
    def test_values_are_parsed_by_the_type_of_their_field(self) -> None:
        texts = [
            "epochs=5",
            "learning_rate = 1e-4",
            "nesterov=false",
            "layers=conv 8, pool,",
            "widths=8,16",
            "name=a=b",
        ]
        recipe = make_recipe(parse_assignments(texts))
        assert (recipe.epochs, recipe.learning_rate, recipe.nesterov) == (5, 1e-4, False)
        assert (recipe.layers, recipe.widths, recipe.name) == (("conv 8", "pool"), (8, 16), "a=b")

    def test_none_empties_only_an_optional_field(self) -> None:
        values = parse_assignments(["published_accuracy=none", "flip=none", "name=none"])
        assert values == {"published_accuracy": None, "flip": "none", "name": "none"}

    def test_an_empty_list(self) -> None:
        assert parse_assignments(["layers="]) == {"layers": ()}

    def test_unknown_field(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown recipe field 'learning_rat': did you mean 'learning_rate'"):
            parse_assignments(["learning_rat=1"])

    def test_no_value(self) -> None:
        with pytest.raises(InvalidValueError, match="'epochs' sets nothing: expected key=value"):
            parse_assignments(["epochs"])

    @pytest.mark.parametrize("text", ["epochs=five", "epochs=", "nesterov=perhaps", "learning_rate=1,5"])
    def test_wrong_types(self, text: str) -> None:
        with pytest.raises(InvalidValueError, match=text.partition("=")[0]):
            make_recipe(parse_assignments([text]))

    def test_nothing_is_evaluated(self) -> None:
        with pytest.raises(InvalidValueError, match="valid integer"):
            make_recipe(parse_assignments(["epochs=__import__('os').getpid()"]))


class TestOwnFiles:
    def write(self, folder: Path, text: str) -> str:
        path = folder / "my recipe.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def test_a_partial_override_named_after_its_file(self, tmp_path: Path) -> None:
        recipe = load_recipe(self.write(tmp_path, 'layers = ["conv 8"]\nepochs = 3\n'), seed=4)
        assert recipe == Recipe(name="my recipe", layers=("conv 8",), epochs=3, seed=4)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("epochs = ", "is no TOML"),
            ("epoch = 3", "unknown recipe field 'epoch': did you mean 'epochs'?"),
            ("[training]\nepochs = 3", "unknown recipe field 'training'"),
            ('epochs = "three"', "epochs = 'three': "),
            ("epochs = true", "epochs = True: "),
        ],
    )
    def test_faults_are_named(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises((InvalidValueError, UnknownNameError)) as error:
            load_recipe(self.write(tmp_path, text))
        assert message in str(error.value)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match=r"cannot read the recipe file .*gone\.toml: No such file"):
            load_recipe(str(tmp_path / "gone.toml"))

    def test_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "a.toml"
        path.write_bytes(b"\xff\xfe")
        with pytest.raises(InvalidValueError, match="it is no UTF-8 text"):
            load_recipe(str(path))

    def test_unknown_name(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown recipe 'tensorflw': did you mean 'tensorflow'"):
            load_recipe("tensorflw")


def test_epochs_that_one_asks_for_replace_the_steps_of_a_recipe() -> None:
    assert load_recipe("quick").steps is not None
    assert load_recipe("quick", epochs=3).steps is None
    assert load_recipe("quick", epochs=3, steps=7).steps == 7
