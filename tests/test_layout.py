"""A module imports only from lower levels or from its own folder, as the table in docs/layout.md says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "tinysight"
HEAVY = ("keras", "tensorflow", "jax", "torch", "matplotlib", "sklearn", "scipy", "onnxruntime", "onnx", "pandas")


def read_levels() -> dict[str, int]:
    """Path below the package ("models/", "runs.py") -> level, from the table."""
    levels = {}
    for line in (ROOT / "docs" / "layout.md").read_text(encoding="utf-8").splitlines():
        row = re.match(r"\| (\d) \| (.*?) \|", line)
        if row:
            levels |= {place: int(row[1]) for place in re.findall(r"`([^`]+)`", row[2])}
    return levels


LEVELS = read_levels()
MODULES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for path in PACKAGE.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


def place_of(module: str) -> str:
    """The longest entry of the table that `module` ("serving/app.py") is or lies in."""
    found = [place for place in LEVELS if module == place or (place.endswith("/") and module.startswith(place))]
    assert found, f"{module} is not in docs/layout.md"
    return max(found, key=len)


def level_of(module: str) -> int:
    return LEVELS[place_of(module)]


def imported(module: str) -> Iterator[str]:
    """What a module imports from the package, in functions too, as paths below the package."""
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tinysight":
            assert node.module is not None
            inside = node.module.split(".")[1:]
            for alias in node.names:
                yield from filter(None, [as_path([*inside, alias.name]) or as_path(inside)])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tinysight":
                    yield from filter(None, [as_path(alias.name.split(".")[1:])])


def as_path(parts: list[str]) -> str | None:
    path = PACKAGE.joinpath(*parts).with_suffix(".py")
    return path.relative_to(PACKAGE).as_posix() if path.is_file() else None


def third_party(module: str) -> set[str]:
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_the_table_was_read() -> None:
    assert len(LEVELS) >= 15
    assert (level_of("errors.py"), level_of("cli/main.py")) == (0, 7)
    assert set(imported("jobs/train.py")) >= {"recipe.py", "training/fit.py", "jobs/finish.py"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards(module: str) -> None:
    own_folder = module.rpartition("/")[0]
    upwards = [
        found
        for found in imported(module)
        if not (level_of(found) < level_of(module) or (found.rpartition("/")[0] == own_folder))
    ]
    assert upwards == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("verbs/")])
def test_verbs_do_not_import_each_other(module: str) -> None:
    assert [found for found in imported(module) if found.startswith("verbs/")] == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("metrics/")])
def test_metrics_know_no_framework(module: str) -> None:
    assert third_party(module) & {"keras", "tensorflow", "jax", "torch"} == set()


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("report/")])
def test_reports_never_train(module: str) -> None:
    assert [found for found in imported(module) if found == "training/fit.py"] == []


def loaded_by(*words: str) -> set[str]:
    """The heavy libraries that a command has imported when it ends."""
    script = (
        "import sys\nfrom tinysight.cli.main import main\n"
        f"try:\n    main({list(words)!r})\nexcept SystemExit as stop:\n    status = stop.code\n"
        f"print('loaded', status, *(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8")
    _, status, *names = done.stderr.splitlines()[-1].split()
    assert status == "0", done.stderr
    return set(names)


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("--help",), set()),
        (("--version",), set()),
        (("train", "--help"), set()),
        (("recipes",), set()),
        (("recipes", "show", "day4"), set()),
        (("data", "list"), set()),
    ],
    ids=" ".join,
)
def test_light_commands_load_nothing_heavy(words: tuple[str, ...], allowed: set[str]) -> None:
    assert loaded_by(*words) - allowed == set()


def test_import_tinysight_loads_nothing() -> None:
    script = "import sys, tinysight; tinysight.load_recipe; print(*(set(sys.modules) & set(sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", script, *HEAVY, "numpy"], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout.split()) == (0, [])
