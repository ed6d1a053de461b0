from __future__ import annotations

import io

import numpy as np
import pytest
from near_copies import moved
from numpy.typing import NDArray
from PIL import Image

from tinysight.data import similar
from tinysight.data.similar import find_copies, find_similar


def smooth(count: int, seed: int, channels: int = 3) -> NDArray[np.uint8]:
    """Pictures with large features, as photographs have: 5 x 5 random colours, stretched to 32 x 32."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 5, 5, 3)).astype(np.uint8)
    large = [np.asarray(Image.fromarray(each).resize((32, 32), Image.Resampling.BICUBIC)) for each in small]
    return np.stack(large)[..., :channels]


def saved_as_jpeg(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


def test_copies_are_grouped() -> None:
    images = smooth(50, 0)
    images[[7, 30]] = images[3]
    images[49] = images[48]
    assert find_copies(images) == [[3, 7, 30], [48, 49]]
    assert find_copies(images[:3]) == []


@pytest.mark.parametrize("most", [10_000, 100], ids=["every pair", "hashed"])
def test_planted_near_duplicates_are_all_found_and_nothing_else(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "MAX_EXHAUSTIVE", most)
    images = smooth(1500, 1)
    noise = np.random.default_rng(2).normal(0, 5, images[:50].shape)
    planted = [
        *(saved_as_jpeg(each) for each in images[:50]),
        *np.clip(images[:50] * 0.8 + 20, 0, 255).astype(np.uint8),
        *np.clip(images[:50] + noise, 0, 255).astype(np.uint8),
    ]
    found = find_similar(np.concatenate([images, np.stack(planted)]))
    pairs = {(first, second) for first, second, _ in found}
    expected = {(i, 1500 + 50 * kind + i) for i in range(50) for kind in range(3)}
    assert len(expected - pairs) <= 1
    # The planted ones are alike among each other too; nothing else is.
    assert {(a, b) for a, b in pairs if (a if a < 1500 else (a - 1500) % 50) != (b - 1500) % 50 or b < 1500} == set()
    values = [value for _, _, value in found]
    assert values == sorted(values, reverse=True)
    assert all(0.95 <= value <= 1 for value in values)


def test_moved_and_mirrored_copies_among_a_few_thousand() -> None:
    images = smooth(200, 4)
    copies = np.stack([moved(images[3], 1, -1), np.ascontiguousarray(images[5, :, ::-1])])
    found = find_similar(np.concatenate([images, copies]))
    assert {(a, b) for a, b, _ in found} == {(3, 200), (5, 201)}


def test_what_looks_alike_but_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """All contrast, they correlate beyond the bound of the hashes, and yet leave many grey levels unexplained."""
    monkeypatch.setattr(similar, "MAX_EXHAUSTIVE", 10)
    images = smooth(60, 6)
    rows, columns = np.mgrid[:32, :32]
    images[7] = np.where(columns < 16, 30, 225)[..., None]
    for index, place in ((58, 8), (59, 24)):
        blot = np.exp(-((rows - place) ** 2 + (columns - place) ** 2) / 30)[..., None]
        images[index] = np.clip(images[7] + 40 * blot * np.sign(128 - images[7].astype(int)), 0, 255).astype(np.uint8)
    first, second = similar._hashed_pairs(images)
    assert {(7, 58), (7, 59)} & set(zip(first.tolist(), second.tolist(), strict=True))
    assert find_similar(images) == []


@pytest.mark.parametrize("most", [10_000, 1], ids=["every pair", "hashed"])
def test_small_grey_and_few_images_are_compared_too(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "MAX_EXHAUSTIVE", most)
    for height, width in ((8, 9), (5, 4)):
        images = np.ascontiguousarray(smooth(4, 3, channels=1)[:, : 6 * height : 6, : 6 * width : 6])[
            :, :height, :width
        ]
        images[2] = images[1] + (images[1] < 200) * 3
        assert [(a, b) for a, b, _ in find_similar(images)] == [(1, 2)]
        assert find_similar(images[:1]) == []
    # One colour all over is similar to nothing but its copies.
    assert {value for _, _, value in find_similar(np.full((3, 8, 8, 1), 7, np.uint8))} <= {1.0}
