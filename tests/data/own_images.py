"""Pictures for tests, drawn here: coloured glyphs in noise, in several formats."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def draw(glyph: str, seed: int, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> Image.Image:
    """A glyph in noise; `size` is (height, width)."""
    height, width = size
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 120, (height, width, 3), np.uint8))
    ImageDraw.Draw(image).text((2 + seed % 3, 2), glyph, fill=(255, 200, 40))
    return image.convert(mode)


def save(path: Path, glyph: str, seed: int, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(glyph, seed, size, mode).save(path)
    return path


def make_classes(
    folder: Path,
    counts: dict[str, int],
    *,
    seed: int = 0,
    size: tuple[int, int] = (20, 16),
    mode: str = "RGB",
    ending: str = ".png",
) -> Path:
    """FOLDER/CLASS/0.png, 1.png ... for each class."""
    for offset, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            save(folder / name / f"{number}{ending}", name[0], seed + 1000 * offset + number, size, mode)
    return folder


def link(target: Path | str, path: Path) -> Path:
    os.symlink(target, path)
    return path
