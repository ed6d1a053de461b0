import base64
import io

import numpy as np
import pytest
from PIL import Image
from report_runs import random_predictions

from tinysight.images import ImageSet
from tinysight.metrics.counts import confusion_matrix
from tinysight.report import galleries
from tinysight.report.galleries import NUM_PER_CELL, Shelf, cell_pictures, cells, confident_mistakes, unsure_hits
from tinysight.report.pictures import data_uri, heat_overlay, sheet


def shelf_of(num_images=200, num_classes=4, shape=(8, 8, 3), skill=1.0):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_classes, num_images).astype(np.int32)
    images = rng.integers(0, 256, (num_images, *shape)).astype(np.uint8)
    names = tuple(f"class {index}" for index in range(num_classes))
    return Shelf(
        ImageSet(images=images, labels=labels, class_names=names), random_predictions(labels, num_classes, skill=skill)
    )


def decode(uri):
    head, _, text = uri.partition(",")
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return head, np.asarray(image)


@pytest.mark.parametrize(("side", "kind"), [(28, "png"), (40, "png"), (41, "jpeg"), (96, "jpeg")])
def test_photographs_are_jpeg_in_their_own_size(side, kind):
    """As PNG a page of 64 x 64 pictures would be twice as large as a page may be."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    head, pixels = decode(data_uri(image))
    assert head == f"data:image/{kind};base64"
    assert pixels.shape == image.shape


def test_mistakes_are_wrong_and_surest_first():
    found = confident_mistakes(shelf_of())
    assert found
    assert not any(picture.is_right for picture in found)
    scores = [picture.score for picture in found]
    assert scores == sorted(scores, reverse=True)


def test_hits_are_right_and_least_sure_first():
    found = unsure_hits(shelf_of())
    assert all(picture.is_right for picture in found)
    scores = [picture.score for picture in found]
    assert scores == sorted(scores)
    assert scores[0] == pytest.approx(found[0].true_score)


def test_a_gallery_has_some_of_every_class():
    found = unsure_hits(shelf_of(num_images=400, num_classes=8, skill=3.0))
    assert {picture.true_index for picture in found} == set(range(8))
    assert sum(picture.is_first for picture in found) == galleries.NUM_SHOWN


def test_a_perfect_model_has_no_mistakes():
    assert confident_mistakes(shelf_of(skill=100.0)) == ()


def test_pictures_are_the_images_themselves():
    shelf = shelf_of()
    picture = shelf.picture(7)
    head, pixels = decode(picture.uri)
    assert head == "data:image/png;base64"
    assert np.array_equal(pixels, shelf.images.images[7])


def test_large_pictures_are_shrunk():
    head, pixels = decode(data_uri(np.zeros((200, 100, 3), np.uint8)))
    assert head == "data:image/jpeg;base64"
    assert pixels.shape[:2] == (96, 48)
    _, whole = decode(data_uri(np.zeros((200, 100), np.uint8), max_side=None))
    assert whole.shape == (200, 100)


def matrix_of(shelf):
    return confusion_matrix(shelf.predictions.labels, shelf.predicted, shelf.images.num_classes)


def test_cells_hold_their_own_images():
    shelf = shelf_of()
    matrix = matrix_of(shelf)
    found = cell_pictures(shelf, matrix, range(4))
    assert set(found) == {f"{true},{said}" for true, said in np.argwhere(matrix)}
    for key, pictures in found.items():
        true, said = map(int, key.split(","))
        assert len(pictures) == min(NUM_PER_CELL, matrix[true, said])
        assert {(picture.true_index, picture.predicted_index) for picture in pictures} == {(true, said)}
        scores = [picture.score for picture in pictures]
        assert scores == sorted(scores, reverse=true != said)


def test_room_is_shared_between_cells(monkeypatch):
    shelf = shelf_of()
    matrix = matrix_of(shelf)
    monkeypatch.setattr(galleries, "MAX_CELL_CHARACTERS", 4000)
    found = cell_pictures(shelf, matrix, range(4))
    assert 0 < sum(len(picture.uri) for pictures in found.values() for picture in pictures) < 4000 + 500
    assert max(map(len, found.values())) - min(map(len, found.values())) <= 1


def test_cells_of_classes_that_are_not_shown_are_left_out():
    shelf = shelf_of()
    found = cell_pictures(shelf, matrix_of(shelf), [0, 2])
    assert {int(part) for key in found for part in key.split(",")} == {0, 2}


def test_shades_follow_the_counts_of_their_own_kind():
    matrix = np.array([[90, 10, 0], [1, 99, 0], [0, 0, 0]])
    rows = cells(matrix, [0, 1, 2], {"0,1"})
    assert rows[0][1].level == 9
    assert rows[0][1].has_pictures
    assert not rows[0][0].has_pictures
    assert rows[1][1].level == 9
    assert rows[1][0].level == 1
    assert rows[2][2].level == 0
    assert rows[0][1].share == pytest.approx(0.1)
    assert rows[2][2].share == 0


def test_a_matrix_without_mistakes_can_be_shaded():
    assert cells(np.diag([5, 5]), [0, 1], set())[0][1].level == 0


def test_heat_is_brighter_where_it_is_hot():
    grey = np.full((2, 2, 1), 100, np.uint8)
    mixed = heat_overlay(grey, np.array([[0.0, 1.0], [0.5, 0.0]]))
    assert mixed.shape == (2, 2, 3)
    assert mixed[0, 1].sum() > mixed[1, 0].sum() > mixed[0, 0].sum()


def test_sheets_have_gaps():
    whole = sheet(np.zeros((5, 3, 4), np.uint8), num_columns=3)
    assert whole.shape == (7, 14, 1)
    assert (whole[3] == 128).all()
    assert whole[:3, :4].max() == 0
