import numpy as np
import pytest
from near_copies import DAMAGES, jpeg

from tinysight.data.duplicates import Duplicate, find_duplicates
from tinysight.errors import InvalidValueError

NUM = 60


def scenes(num_images, height=32, width=32, channels=3, seed=0):
    """Pictures of soft and sharp shapes, no two alike: uint8 (n, height, width, channels)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    images = np.empty((num_images, height, width, channels))
    for image in images:
        image[:] = rng.uniform(60, 190, channels)
        for _ in range(12):
            down, right, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(2, height / 3)
            distance = np.hypot(rows - down, (columns - right) * rng.uniform(0.5, 2))
            softness = rng.uniform(0.8, 3)
            image += rng.uniform(-70, 70, channels) / (1 + np.exp((distance - size) / softness))[..., None]
    return np.clip(images.round(), 0, 255).astype(np.uint8)


def strokes(num_images, seed=0):
    """Slanted strokes on black, 28x28x1, as different hands write the digit one."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:28, 0:28]
    images = np.empty((num_images, 28, 28, 1))
    for image in images:
        slant, bend = rng.uniform(-0.25, 0.25), rng.uniform(-0.01, 0.01)
        # A hand trembles: middle and width wander a little from row to row.
        tremor, swell = (np.interp(rows, np.arange(0, 30, 3), rng.normal(0, 0.2, 10)) for _ in range(2))
        middle = 13.5 + slant * (rows - 13.5) + bend * (rows - 13.5) ** 2 + tremor
        width = rng.uniform(1.0, 2.0) + swell
        ends = np.clip(rows - rng.uniform(3, 5), 0, 1) * np.clip(rng.uniform(22, 24) - rows, 0, 1)
        image[..., 0] = 255 * ends * np.clip(width + 0.5 - np.abs(columns - middle), 0, 1)
    return np.clip(images, 0, 255).astype(np.uint8)


def pairs(found):
    return {(pair.index_a, pair.index_b) for pair in found}


def plant(originals, others, damage):
    """`others` with damaged copies of the first five originals at the end, and the pairs to be found."""
    copies = np.stack([damage(image) for image in originals[:5]])
    return np.concatenate([others, copies]), {(index, len(others) + index) for index in range(5)}


SETS = {
    "28 grey": lambda: (scenes(NUM, 28, 28, 1), scenes(NUM, 28, 28, 1, seed=1)),
    "32 colour": lambda: (scenes(NUM), scenes(NUM, seed=1)),
    "64 colour": lambda: (scenes(NUM, 64, 64), scenes(NUM, 64, 64, seed=1)),
    "oblong": lambda: (scenes(NUM, 36, 28), scenes(NUM, 36, 28, seed=1)),
    "strokes": lambda: (strokes(NUM), strokes(NUM, seed=1)),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_copies_are_listed_and_nothing_else(name, damage):
    images, others = SETS[name]()
    others, planted = plant(images, others, DAMAGES[damage])
    found = find_duplicates(images, others)
    assert pairs(found) == planted
    assert {(pair.kind, pair.mirrored) for pair in found} == {("near", False)}
    assert all(0.95 <= pair.similarity <= 1 for pair in found)


def test_two_hundred_planted_copies_are_all_listed():
    images, others = scenes(400), scenes(300, seed=1)
    damages = list(DAMAGES.values())
    copies = np.stack([damages[index % len(damages)](images[index]) for index in range(200)])
    found = find_duplicates(images, np.concatenate([others, copies]))
    assert pairs(found) == {(index, 300 + index) for index in range(200)}


def test_strokes_of_many_hands_are_no_duplicates():
    """A hundred and fifty ones: many correlate above 0.95, none is a copy."""
    images = strokes(150)
    centred = images.reshape(150, -1) - images.reshape(150, -1).mean(axis=1, keepdims=True)
    similar = np.corrcoef(centred) - np.eye(150)
    assert (similar > 0.95).sum() > 100
    assert find_duplicates(images) == []


def test_exact_copies_are_listed_as_exact_and_only_once():
    images, others = scenes(20), scenes(20, seed=1)
    others[3], others[7] = images[5], images[5]
    assert find_duplicates(images, others) == [
        Duplicate(5, 3, "exact", 1.0),
        Duplicate(5, 7, "exact", 1.0),
    ]


def test_exact_copies_within_the_first_set_count_as_the_first_of_them():
    images, others = scenes(20), scenes(20, seed=1)
    images[9], others[0] = images[2], images[2]
    others[1] = jpeg(images[2])
    assert pairs(find_duplicates(images, others)) == {(2, 0), (2, 1)}


def test_within_one_set_each_pair_is_listed_once_and_no_image_with_itself():
    images = scenes(30)
    images[20], images[21], images[22] = images[4], jpeg(images[4]), images[6]
    found = find_duplicates(images)
    assert [(pair.index_a, pair.index_b, pair.kind) for pair in found] == [
        (4, 20, "exact"),
        (4, 21, "near"),
        (6, 22, "exact"),
    ]


def test_mirror_images_are_listed_when_wanted():
    images, others = scenes(30), scenes(30, seed=1)
    others[8] = jpeg(np.ascontiguousarray(images[3, :, ::-1]))
    (pair,) = find_duplicates(images, others)
    assert (pair.index_a, pair.index_b, pair.mirrored) == (3, 8, True)
    assert find_duplicates(images, others, mirrored=False) == []


def test_a_mirror_image_of_a_crowd_must_match_closely():
    """An image that stands out is forgiven more, but not when its mirror image has many look-alikes."""
    rng = np.random.default_rng(0)
    original = scenes(1, seed=5)[0]
    crowd = np.stack([np.clip(original + rng.normal(0, 13, original.shape), 0, 255) for _ in range(30)]).astype(
        np.uint8
    )
    mirror = np.ascontiguousarray(original[None, :, ::-1])
    others = scenes(NUM, seed=1)
    alone = find_duplicates(np.concatenate([others, crowd[:1]]), mirror)
    assert [(pair.index_a, pair.mirrored) for pair in alone] == [(NUM, True)]
    assert find_duplicates(np.concatenate([others, crowd]), mirror) == []
    # The rare one among the crowd's mirror images is judged like them, whichever of the two is looked up.
    rare = np.clip(mirror + rng.normal(0, 13, mirror.shape), 0, 255).astype(np.uint8)
    assert find_duplicates(np.concatenate([others, rare]), original[None])
    assert find_duplicates(np.concatenate([others, rare, crowd]), original[None]) == []


@pytest.mark.parametrize(("rounding", "order"), [(3e-6, 1), (-3e-6, 1), (3e-6, -1), (-3e-6, -1)])
def test_rounding_does_not_call_a_symmetric_image_mirrored(monkeypatch, rounding, order):
    """Whichever of the two is a few last digits closer, and whichever comes first."""
    ties = [Duplicate(0, 1, "near", 0.99), Duplicate(0, 1, "near", 0.99 + rounding, mirrored=True)]
    monkeypatch.setattr("tinysight.data.duplicates._near", lambda *_, **__: ties[::order])
    assert find_duplicates(scenes(2)) == ties[:1]


def test_a_symmetric_image_is_not_called_mirrored():
    images = scenes(10)
    images[0, :, 16:] = images[0, :, 15::-1]
    (pair,) = find_duplicates(images, jpeg(images[0])[None])
    assert not pair.mirrored


def test_flat_images_are_duplicates_only_when_they_are_equal():
    flat = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 1, 128, 255, 128)])
    noise = np.random.default_rng(0).integers(126, 131, (3, 32, 32, 3)).astype(np.uint8)
    assert pairs(find_duplicates(np.concatenate([flat, noise]))) == {(2, 4)}


def test_the_chunks_and_blocks_do_not_matter(monkeypatch):
    images, others = scenes(NUM), scenes(NUM, seed=1)
    others, _ = plant(images, others, jpeg)
    whole = find_duplicates(images, others)
    for name, value in (("CHUNK", 7), ("BLOCK_ROWS", 3), ("BLOCK_COLUMNS", 11)):
        monkeypatch.setattr(f"tinysight.data.duplicates.{name}", value)
    in_parts = find_duplicates(images, others)
    assert pairs(in_parts) == pairs(whole) != set()
    np.testing.assert_allclose([pair.similarity for pair in in_parts], [pair.similarity for pair in whole], rtol=1e-4)


def test_images_are_left_as_they_are_and_may_be_read_only():
    images = scenes(10)
    images.flags.writeable = False
    before = images.copy()
    find_duplicates(images, images[:3])
    np.testing.assert_array_equal(images, before)


def test_no_image_has_no_duplicate():
    images = scenes(3)
    assert find_duplicates(images[:0]) == []
    assert find_duplicates(images[:0], images) == []
    assert find_duplicates(images, images[:0]) == []


@pytest.mark.parametrize(
    ("images_a", "images_b", "says"),
    [
        (np.zeros((2, 32, 32), np.uint8), None, "shape (2, 32, 32)"),
        (np.zeros((2, 32, 32, 3), np.float32), None, "float32"),
        (np.zeros((2, 32, 32, 4), np.uint8), None, "1 or 3"),
        (np.zeros((2, 6, 32, 3), np.uint8), None, "8 pixels or more"),
        (np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, 28, 28, 1), np.uint8), "bring them to one size"),
    ],
)
def test_arrays_that_are_no_images_are_refused(images_a, images_b, says):
    with pytest.raises(InvalidValueError) as error:
        find_duplicates(images_a, images_b)
    assert says in str(error.value)
