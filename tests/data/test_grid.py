from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from tinysight.data.grid import check_free, choose, draw_grid
from tinysight.errors import InvalidValueError
from tinysight.images import ImageSet


def image_set(num_images: int, channels: int, names: tuple[str, ...] = ("ant", "bee")) -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (num_images, 8, 8, channels), np.uint8)
    labels = (np.arange(num_images) % len(names)).astype(np.int32)
    return ImageSet(images=images, labels=labels, class_names=names)


def shown(cell: Axes) -> NDArray[np.uint8]:
    pixels = cell.get_images()[0].get_array()
    assert pixels is not None
    return np.asarray(pixels)


def test_the_first_25_with_their_names() -> None:
    images = image_set(40, 3)
    figure = draw_grid(images)
    assert len(figure.axes) == 25
    assert [each.get_xlabel() for each in figure.axes[:3]] == ["ant", "bee", "ant"]
    for number, cell in enumerate(figure.axes):
        assert np.array_equal(shown(cell), images.images[number])


def test_grey_is_shown_grey() -> None:
    cell = draw_grid(image_set(4, 1), 2, 2).axes[0]
    image = cell.get_images()[0]
    assert shown(cell).shape == (8, 8)
    assert image.get_cmap().name == "gray"
    assert image.get_clim() == (0, 255)


def test_indices_and_cells_left_over() -> None:
    images = image_set(10, 3)
    figure = draw_grid(images, 2, 3, np.array([9, 0, 4]))
    assert [len(each.get_images()) for each in figure.axes] == [1, 1, 1, 0, 0, 0]
    assert np.array_equal(shown(figure.axes[0]), images.images[9])


def test_names_are_text_and_short(tmp_path: Path) -> None:
    names = ("a very long name of a class that goes on", "$x_{$")
    figure = draw_grid(image_set(2, 3, names), 1, 2, path=tmp_path / "g.png")
    labels = [each.get_xlabel() for each in figure.axes]
    assert len(labels[0]) == 22
    assert labels[0].endswith("…")
    assert labels[1] == "$x_{$"


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 6), (5, 5), (7, 2)])
def test_the_file_is_a_picture_with_something_in_every_row(tmp_path: Path, rows: int, cols: int) -> None:
    path = tmp_path / "grid.png"
    draw_grid(image_set(60, 3), rows, cols, path=path)
    with Image.open(path) as picture:
        assert picture.size == (cols * 200, rows * 200)
        pixels = np.asarray(picture.convert("L"))
    assert all(len(np.unique(band)) > 10 for band in np.array_split(pixels, rows))
    assert [each.name for each in tmp_path.iterdir()] == ["grid.png"]


@pytest.mark.parametrize(("rows", "cols"), [(0, 5), (5, 0), (-1, 5), (1025, 1), (33, 32)])
def test_sizes_out_of_range(rows: int, cols: int) -> None:
    with pytest.raises(InvalidValueError, match=f"a grid of {rows}x{cols}; expected"):
        draw_grid(image_set(4, 3), rows, cols)


def test_more_images_than_cells() -> None:
    with pytest.raises(InvalidValueError, match="5 images do not fit a grid of 2x2"):
        draw_grid(image_set(9, 3), 2, 2, np.arange(5))


def test_choice() -> None:
    assert choose(100, 5).tolist() == [0, 1, 2, 3, 4]
    assert choose(3, 5).tolist() == [0, 1, 2]
    assert choose(1000, 6, seed=3).tolist() == choose(1000, 6, seed=3).tolist()
    assert choose(1000, 6, seed=3).tolist() != choose(1000, 6, seed=4).tolist()
    assert sorted(choose(20, 50, seed=1).tolist()) == list(range(20))


def test_only_our_own_grid_is_overwritten(tmp_path: Path) -> None:
    ours, photo, text = tmp_path / "ours.png", tmp_path / "photo.png", tmp_path / "notes.png"
    check_free(ours)
    draw_grid(image_set(4, 3), 2, 2, path=ours)
    check_free(ours)
    Image.new("RGB", (8, 8)).save(photo)
    text.write_text("notes")
    for path in (photo, text, tmp_path):
        with pytest.raises(InvalidValueError, match=r"exists and is no grid of ours|does not end in \.png"):
            check_free(path)
    with pytest.raises(InvalidValueError, match=r"does not end in \.png"):
        check_free(tmp_path / "grid.jpg")
