from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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


def test_planted_near_duplicates_are_all_found_and_nothing_else() -> None:
    images = smooth(3000, 1)
    noise = np.random.default_rng(2).normal(0, 5, images[:50].shape)
    planted = [
        *(saved_as_jpeg(each) for each in images[:50]),
        *np.clip(images[:50] * 0.8 + 20, 0, 255).astype(np.uint8),
        *np.clip(images[:50] + noise, 0, 255).astype(np.uint8),
    ]
    found = find_similar(np.concatenate([images, np.stack(planted)]))
    pairs = {(first, second) for first, second, _ in found}
    expected = {(i, 3000 + 50 * kind + i) for i in range(50) for kind in range(3)}
    assert len(expected - pairs) <= 1
    # The planted ones are alike among each other too; all others are chance.
    assert {(a, b) for a, b in pairs if b < 3000} == set()
    values = [value for _, _, value in found]
    assert values == sorted(values, reverse=True)
    assert all(0.99 <= value <= 1.001 for value in values)


def test_small_grey_and_few_images_are_compared_too() -> None:
    images = smooth(4, 3, channels=1)[:, :8, :9]
    images[2] = images[1] + (images[1] < 200) * 3
    assert [(a, b) for a, b, _ in find_similar(images)] == [(1, 2)]
    assert find_similar(images[:1]) == []
    # One colour all over is similar to nothing.
    assert find_similar(np.full((3, 8, 8, 1), 7, np.uint8)) == []
