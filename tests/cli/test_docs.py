"""docs/cli.md names every option of the commands it describes and every field that they print."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from whole_commands import Trained

from tinysight.cli.main import COMMANDS
from tinysight.recipe import load_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
DESCRIBED = sorted(set(re.findall(r"^## tinysight ([a-z-]+(?: [a-z-]+)?)", TEXT, re.MULTILINE)))


def section(name: str) -> str:
    found = re.search(rf"^## tinysight {name}\b.*?(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def click_commands(name: str) -> list[click.Command]:
    first, *below_it = name.split()
    module, _ = COMMANDS[first]
    command = getattr(importlib.import_module(module), first.replace("-", "_"))
    for word in below_it:
        command = command.commands[word]
    # The commands below `data` that have a page of their own are described there.
    below = [c for key, c in getattr(command, "commands", {}).items() if key not in ("check", "cache")]
    return [command, *below]


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_option(name: str) -> None:
    for command in click_commands(name):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in ("as_json", "data_dir"):
                option = re.escape(parameter.opts[0])
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", section(name)), f"{command.name} {option}"


def test_the_core_is_described() -> None:
    assert set(DESCRIBED) >= {"train", "evaluate", "predict", "recipes", "tutorials", "devices", "data"}


def test_every_field_of_train(trained: Trained) -> None:
    for name in [*trained.summary, *trained.summary["samples"][0]]:
        assert f"`{name}`" in section("train")


@pytest.mark.parametrize("words", [("devices",), ("recipes",), ("data", "list")], ids=" ".join)
def test_every_field_of_lists(words: tuple[str, ...], command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = command(*words, "--json")
    assert status == 0
    for name in json.loads(out)[0]:
        assert f"`{name}`" in section(words[0])


def test_every_field_of_a_recipe(command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = command("recipes", "fields", "--json")
    assert status == 0
    rows = [f"| `{e['name']}` | {e['values']} | {e['default']} | {e['description']} |" for e in json.loads(out)]
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows
    status, out, _ = command("recipes", "fields")
    assert (status, out.count("\n")) == (0, 2 * len(rows))
    assert "leaky_slope = 0.1  (number in [0, 1))\n" in out


def test_the_recipe_on_the_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(page.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    assert load_recipe(str(tmp_path / "mine.toml")).activation == "elu"
