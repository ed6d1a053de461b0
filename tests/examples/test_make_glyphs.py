"""examples/make_glyphs.py: the same pictures for the same seed, with whatever fonts there are."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinysight.data.source import load_data

SCRIPT = Path(__file__).parents[2] / "examples" / "make_glyphs.py"


@pytest.fixture(scope="module")
def make_glyphs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_glyphs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def only_dejavu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without fonts of its own."""
    from matplotlib import font_manager

    monkeypatch.setattr(font_manager, "findSystemFonts", list)


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*.png")}


@pytest.mark.usefixtures("only_dejavu")
def test_the_fonts_of_matplotlib_will_do(make_glyphs: ModuleType, tmp_path: Path) -> None:
    fonts = make_glyphs.usable_fonts("ABC")
    assert next(iter(fonts)) == "DejaVuSans"
    assert len(fonts) >= 10
    line = make_glyphs.make(tmp_path / "glyphs", "ABC", 24, 0)
    assert line.endswith(f"72 pictures, 24 each of ABC, in {len(fonts)} fonts")
    data = load_data(tmp_path / "glyphs", group_by="^(.+)_")
    assert data.class_names == ("A", "B", "C")
    assert data.image_shape == (32, 32, 1)
    fonts_of = [{Path(name).name.rsplit("_", 1)[0] for name in split.sources} for split in (data.train, data.test)]
    assert fonts_of[0] | fonts_of[1] == set(fonts)
    assert not fonts_of[0] & fonts_of[1], "a font on both sides"


@pytest.mark.usefixtures("only_dejavu")
def test_a_function_of_the_seed(make_glyphs: ModuleType, tmp_path: Path) -> None:
    for name, count, seed in (("few", 6, 1), ("many", 9, 1), ("other", 6, 2)):
        make_glyphs.make(tmp_path / name, "xy", count, seed)
    few, many, other = (pictures(tmp_path / name) for name in ("few", "many", "other"))
    assert len(few) == 12
    assert few.items() < many.items(), "fewer pictures are the first ones of more"
    assert few["x/DejaVuSans_0000.png"] != other["x/DejaVuSans_0000.png"]


def test_the_character_is_there(make_glyphs: ModuleType) -> None:
    font = make_glyphs.usable_fonts("I")["DejaVuSans"]
    upright = make_glyphs.draw(font, "I", 24, 0, (0, 0))
    assert upright.shape == (32, 32)
    assert upright.max() == 255
    rows, columns = np.nonzero(upright)
    assert np.ptp(rows) > 3 * np.ptp(columns), "a stroke from top to bottom"
    lying = make_glyphs.draw(font, "I", 24, 90, (0, 0))
    np.testing.assert_allclose(lying, np.rot90(upright), atol=40)
    right = make_glyphs.draw(font, "I", 24, 0, (5, 0))
    np.testing.assert_array_equal(right[:, 5:], upright[:, :-5])


@pytest.mark.usefixtures("only_dejavu")
@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("A", "--classes is 'A'"),
        ("AA", "each once"),
        ("Aa", "not both large and small"),
        ("A/", "expected two or more letters or digits"),
        ("\u4e00\u4e8c", "no font here draws all of '\u4e00\u4e8c'"),
    ],
)
def test_characters_that_will_not_do(make_glyphs: ModuleType, tmp_path: Path, classes: str, said: str) -> None:
    with pytest.raises(make_glyphs.MistakeError, match=said):
        make_glyphs.make(tmp_path / "glyphs", classes, 4, 0)
    assert not (tmp_path / "glyphs").exists()


@pytest.mark.parametrize("words", [("--out", "taken"), ("--per-class", "1"), ("--seed", "-1")], ids=" ".join)
def test_mistakes_are_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("kept", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("make_glyphs.py: ")
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "mine.txt"]
