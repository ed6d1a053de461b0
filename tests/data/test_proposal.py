from __future__ import annotations

from pathlib import Path

import pytest
from own_images import draw, make_classes, save

from tinysight.data.proposal import propose_size
from tinysight.data.source import load_data


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(30, 30)] * 3, (30, 30)),
        ([(64, 48)] * 2, (64, 48)),
        ([(100, 100)] * 2, (64, 64)),
        ([(256, 128)] * 2, (64, 32)),
        ([(30, 30), (34, 30), (31, 29)], (32, 32)),
        ([(5, 5)] * 2, (8, 8)),
        ([(1000, 9)] * 2, (64, 8)),
        ([(20, 20), (21, 20), (300, 300)], (20, 20)),
    ],
)
def test_the_proposed_size(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    assert propose_size(sizes) == expected


def test_grey_pictures_saved_in_colour_are_grey(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 3, "b": 3}, mode="L")
    draw("a", 1, mode="L").convert("RGB").save(tmp_path / "a" / "rgb.png")
    draw("a", 1, mode="L").convert("P").save(tmp_path / "a" / "palette.gif")
    assert load_data(tmp_path).image_shape == (20, 16, 1)
    assert load_data(tmp_path, channels=3).image_shape == (20, 16, 3)


def test_one_coloured_picture_makes_all_colour(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 3, "b": 3}, mode="L")
    save(tmp_path / "b" / "colour.png", "b", 9)
    assert load_data(tmp_path).image_shape == (20, 16, 3)


def test_a_turned_photograph_counts_as_it_is_seen(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(2):
            image = draw(name, number, size=(16, 24))
            exif = image.getexif()
            exif[0x0112] = 6
            image.save(tmp_path / name / f"{number}.jpg", exif=exif)
    assert load_data(tmp_path).image_shape == (24, 16, 3)
