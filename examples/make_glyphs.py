"""Makes a folder of pictures to learn from: characters in the fonts of this machine, turned, moved and in noise.

python examples/make_glyphs.py --out glyphs --per-class 200

A class is a character, a picture `glyphs/A/DejaVuSans_0000.png`: its font, then its number. The fonts are those of the
system, and DejaVu's, which come with matplotlib. Pictures are 32x32 and grey. The same seed and fonts give the same
pictures, and fewer of them are the first ones of more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE = 32
# Drawn so many times larger, then made smaller, so that edges are smooth at every angle.
DRAWN_LARGER = 4
# Of characters: height in pixels, angle in degrees, distance from the middle in pixels.
HEIGHTS, MOST_DEGREES, MOST_SHIFT = (14, 24), 20, 5
# In grey levels: what a character differs from its ground at least, and the noise's standard deviation.
LEAST_CONTRAST, NOISE = 60, (5, 35)


class MistakeError(Exception):
    """What a person can mend, in one line."""


def font_files() -> Iterator[Path]:
    """DejaVu's fonts as they come with matplotlib, then the system's, by name."""
    import matplotlib
    from matplotlib import font_manager

    yield from sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"), key=lambda path: path.stem)
    yield from sorted(map(Path, font_manager.findSystemFonts()), key=lambda path: (path.stem, path))


def usable_fonts(characters: str) -> dict[str, Path]:
    """Files by name of the fonts that draw all of the characters, each in a way of its own.

    Raises:
        MistakeError: when there is none.
    """
    fonts: dict[str, Path] = {}
    for path in font_files():
        # The number in a picture's name comes after the underline.
        name = path.stem.replace("_", "-").replace(" ", "-")
        if name not in fonts and draws_all(path, characters):
            fonts[name] = path
    if not fonts:
        raise MistakeError(f"no font here draws all of '{characters}': name other characters with --classes")
    return fonts


def draws_all(path: Path, characters: str) -> bool:
    """Whether the font has the characters; one of symbols may draw boxes or nothing in their place."""
    from matplotlib.ft2font import FT2Font

    try:
        known = FT2Font(str(path)).get_charmap()
        if any(ord(character) not in known for character in characters):
            return False
        drawn = {draw(path, character, HEIGHTS[1], 0, (0, 0)).tobytes() for character in characters}
    except (OSError, RuntimeError):
        # Bitmaps of one size, as of emoji, and damaged files.
        return False
    return len(drawn) == len(characters) and bytes(SIDE * SIDE) not in drawn


def draw(font: Path, character: str, height: float, degrees: float, shift: tuple[float, float]) -> NDArray[np.uint8]:
    """How much of each pixel the character covers: uint8 (32, 32), 255 where it is ink all over.

    Args:
        font: its file.
        character: what is drawn.
        height: of the font, in pixels.
        degrees: how far it is turned, counterclockwise.
        shift: from the middle to the right and down, in pixels.
    """
    side = SIDE * DRAWN_LARGER
    ink = Image.new("L", (side, side))
    place = (side / 2 + shift[0] * DRAWN_LARGER, side / 2 + shift[1] * DRAWN_LARGER)
    face = ImageFont.truetype(str(font), round(height * DRAWN_LARGER))
    ImageDraw.Draw(ink).text(place, character, fill=255, font=face, anchor="mm")
    ink = ink.rotate(degrees, Image.Resampling.BILINEAR, center=place)
    return np.asarray(ink.resize((SIDE, SIDE), Image.Resampling.BOX))


def picture(font: Path, character: str, random: np.random.Generator) -> Image.Image:
    """One picture: the character, dark on bright or bright on dark, in noise."""
    ink = draw(
        font,
        character,
        random.uniform(*HEIGHTS),
        random.uniform(-MOST_DEGREES, MOST_DEGREES),
        (random.uniform(-MOST_SHIFT, MOST_SHIFT), random.uniform(-MOST_SHIFT, MOST_SHIFT)),
    )
    contrast = random.uniform(LEAST_CONTRAST, 200)
    dark = random.uniform(20, 235 - contrast)
    levels = (dark, dark + contrast) if random.random() < 0.5 else (dark + contrast, dark)
    clean = levels[0] + (levels[1] - levels[0]) * ink / 255
    noisy = clean + random.normal(0, random.uniform(*NOISE), clean.shape)
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def make(out: Path, characters: str, per_class: int, seed: int) -> str:
    """Writes the pictures; returns a line that says what was made.

    Raises:
        MistakeError: when an argument is wrong, or `out` holds something.
    """
    check(out, characters, per_class, seed)
    fonts = usable_fonts(characters)
    names = list(fonts)
    # All fonts come equally often. The first one is always DejaVu Sans, if it has the characters.
    order = [names[0], *np.random.default_rng(seed).permutation(names[1:])]
    for character in characters:
        (out / character).mkdir(parents=True)
        for number in range(per_class):
            name = order[number % len(order)]
            random = np.random.default_rng([seed, ord(character), number])
            picture(fonts[name], character, random).save(out / character / f"{name}_{number:04}.png")
    num_used = min(len(order), per_class)
    return f"{out}: {len(characters) * per_class:,} pictures, {per_class:,} each of {characters}, in {num_used} fonts"


def check(out: Path, characters: str, per_class: int, seed: int) -> None:
    # Folders: no signs, and no two of which some systems hold for the same.
    if not characters.isalnum() or not 2 <= len(characters) == len(set(characters.casefold())):
        raise MistakeError(
            f"--classes is '{characters}'; expected two or more letters or digits, each once, not both large and small"
        )
    if per_class < 2 or seed < 0:
        raise MistakeError(f"--per-class is {per_class} and --seed {seed}; expected 2 or more pictures, a seed from 0")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MistakeError(f"'{out}' is in the way: name a folder that is new or empty with --out")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("glyphs"), help="a folder, new or empty (glyphs)")
    parser.add_argument("--per-class", type=int, default=200, metavar="N", help="pictures of each character (200)")
    parser.add_argument("--classes", default="ABCDEFGHIJ", metavar="TEXT", help="the characters (ABCDEFGHIJ)")
    parser.add_argument("--seed", type=int, default=0, help="of which pictures are made (0)")
    options = parser.parse_args()
    try:
        print(make(options.out, options.classes, options.per_class, options.seed))
    except (MistakeError, OSError) as error:
        print(f"make_glyphs.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
