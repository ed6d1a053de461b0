"""What happens to pictures in the world, at five strengths: noise, blur, light, JPEG, and things that move or hide.

Each function takes uint8 images (n, height, width, channels) with 1 or 3 channels, a strength from 1 to 5 and a seed,
and gives uint8 images of the same shape; the same arguments give the same images. Lengths grow with the image, so that
a strength means the same at 28 and at 64 pixels: they are given for a side of 32, and no image counts as smaller than
16. The same seed draws the same noise, directions and places at each strength, so that strengths differ in strength
alone. The kinds and the order of the strengths follow Hendrycks and Dietterich, Benchmarking Neural Network Robustness,
2019, https://arxiv.org/abs/1903.12261, as they have them for CIFAR-10; the code and the numbers are our own, so figures
are not to be compared with theirs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError

Images = NDArray[np.uint8]
Pixels = NDArray[np.float32]
# Pixels as float32, shape (n, height, width, channels), 0..255, to the same, not yet rounded or clipped.
Change = Callable[[Pixels, np.random.Generator], Pixels]

STRENGTHS = (1, 2, 3, 4, 5)
# Images changed at once. Each such chunk has random numbers of its own, so this number is part of the result.
CHUNK = 500
# The side that lengths are given for.
SIDE = 32
# Steps around the circle that movements point in.
NUM_DIRECTIONS = 8


def gaussian_noise(images: Images, strength: int, seed: int) -> Images:
    """Normal noise on each pixel and channel: the grain of a sensor in little light."""
    deviation = _level((8, 12, 17, 23, 30), strength)
    return _changed(
        images, seed, lambda pixels, rng: pixels + deviation * rng.standard_normal(pixels.shape, np.float32)
    )


def shot_noise(images: Images, strength: int, seed: int) -> Images:
    """Poisson noise, as of counted light: the strengths are photons at white."""
    photons = _level((400, 200, 100, 60, 35), strength)

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        return (rng.poisson(pixels * (photons / 255)) * (255 / photons)).astype(np.float32)

    return _changed(images, seed, change)


def impulse_noise(images: Images, strength: int, seed: int) -> Images:
    """Pixels of single channels that are black or white, as dead cells or broken bits leave them."""
    share = _level((0.01, 0.02, 0.04, 0.06, 0.1), strength)

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        chance = rng.random(pixels.shape, np.float32)
        salt = rng.random(pixels.shape, np.float32) < 0.5
        return np.where(chance < share, np.where(salt, np.float32(255), np.float32(0)), pixels)

    return _changed(images, seed, change)


def gaussian_blur(images: Images, strength: int, seed: int) -> Images:
    """A lens out of focus: the strengths are standard deviations in pixels of 32."""
    deviation = _level((0.5, 0.75, 1.0, 1.4, 2.0), strength)

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        rows, columns = (_blurring(size, deviation * _scale(pixels)) for size in pixels.shape[1:3])
        return _along(pixels, rows, columns)

    return _changed(images, seed, change)


def motion_blur(images: Images, strength: int, seed: int) -> Images:
    """A hand that shook, each image in a direction of its own: the strengths are lengths in pixels of 32."""
    length = _level((2, 3, 4.5, 6, 8), strength)

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        length_here = length * _scale(pixels)
        steps = np.linspace(-0.5, 0.5, max(9, int(np.ceil(length_here)) + 1)) * length_here
        # A line has no front, so half the circle holds all directions.
        return _by_direction(
            pixels,
            rng,
            0.5,
            lambda group, down, right: _mean(_slid(group, step * down, step * right) for step in steps),
        )

    return _changed(images, seed, change)


def brightness(images: Images, strength: int, seed: int) -> Images:
    """Half of the images lighter, half darker, by so many grey levels."""
    difference = _level((15, 30, 45, 60, 80), strength)
    return _changed(images, seed, lambda pixels, rng: pixels + difference * _signs(pixels, rng))


def contrast(images: Images, strength: int, seed: int) -> Images:
    """Mist: all pixels closer to the image's mean; the strengths are what is left of their distance."""
    left = _level((0.75, 0.6, 0.45, 0.3, 0.2), strength)

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        mean = pixels.mean(axis=(1, 2, 3), keepdims=True)
        return np.asarray(mean + left * (pixels - mean))

    return _changed(images, seed, change)


def jpeg(images: Images, strength: int, seed: int) -> Images:
    """Saved as JPEG: the strengths are Pillow's quality."""
    quality = int(_level((80, 60, 40, 25, 12), strength))
    return np.stack([_through_jpeg(image, quality) for image in _checked(images)]) if len(images) else images.copy()


def rotation(images: Images, strength: int, seed: int) -> Images:
    """Turned about the middle, half to the left, half to the right, by so many degrees; edges are repeated."""
    degrees = _level((5, 10, 15, 20, 30), strength)

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        left = _signs(pixels, rng)[:, 0, 0, 0] < 0
        turned = np.empty_like(pixels)
        for group, angle in ((left, -degrees), (~left, degrees)):
            turned[group] = _turned(pixels[group], np.deg2rad(angle))
        return turned

    return _changed(images, seed, change)


def shift(images: Images, strength: int, seed: int) -> Images:
    """Moved, each image in a direction of its own, by so many pixels of 32; edges are repeated."""
    distance = _level((1, 2, 3, 4.5, 6), strength)

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        far = distance * _scale(pixels)
        return _by_direction(pixels, rng, 1.0, lambda group, down, right: _slid(group, far * down, far * right))

    return _changed(images, seed, change)


def occlusion(images: Images, strength: int, seed: int) -> Images:
    """A square of the mean colour in front, its middle in the middle half: the strengths are shares of the side."""
    share = _level((0.2, 0.3, 0.4, 0.5, 0.6), strength)

    def change(pixels: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = pixels.shape[1:3]
        middles = (0.25 + 0.5 * rng.random((2, len(pixels), 1))) * [[[height]], [[width]]]
        half = share * min(height, width) / 2
        rows = np.abs(np.arange(height) + 0.5 - middles[0]) < half
        columns = np.abs(np.arange(width) + 0.5 - middles[1]) < half
        hidden = rows[:, :, None, None] & columns[:, None, :, None]
        return np.where(hidden, pixels.mean(axis=(1, 2), keepdims=True), pixels)

    return _changed(images, seed, change)


# Name -> function of images (uint8, shape (n, height, width, channels)), strength (1 to 5) and seed, to images of the
# same shape and type.
CORRUPTIONS: dict[str, Callable[[Images, int, int], Images]] = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "gaussian_blur": gaussian_blur,
    "motion_blur": motion_blur,
    "brightness": brightness,
    "contrast": contrast,
    "jpeg": jpeg,
    "rotation": rotation,
    "shift": shift,
    "occlusion": occlusion,
}


def _level(levels: tuple[float, ...], strength: int) -> float:
    if strength not in STRENGTHS:
        raise InvalidValueError(f"the strength is {strength}; expected a whole number from 1 to {len(levels)}")
    return levels[strength - 1]


def _checked(images: Images) -> Images:
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3):
        raise InvalidValueError(
            f"images are {images.dtype} of shape {images.shape}; expected uint8 of shape (n, height, width, 1 or 3)"
        )
    return images


def _changed(images: Images, seed: int, change: Change) -> Images:
    """`change` applied chunk by chunk, rounded and clipped to 0..255."""
    result = np.empty_like(_checked(images))
    for start in range(0, len(images), CHUNK):
        pixels = images[start : start + CHUNK].astype(np.float32)
        changed = change(pixels, np.random.default_rng([seed, start]))
        result[start : start + CHUNK] = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return result


def _scale(pixels: Pixels) -> float:
    """Pixels of these images for each pixel of one that is 32 wide."""
    height, width = pixels.shape[1:3]
    return float(max(min(height, width), SIDE // 2) / SIDE)


def _signs(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """-1 or 1 for each image: shape (n, 1, 1, 1)."""
    return np.where(rng.random((len(pixels), 1, 1, 1)) < 0.5, np.float32(-1), np.float32(1))


def _by_direction(
    pixels: Pixels, rng: np.random.Generator, turns: float, move: Callable[[Pixels, float, float], Pixels]
) -> Pixels:
    """`move(group, down, right)` with a random unit vector for each image, out of a few that share their arithmetic."""
    directions = rng.integers(0, NUM_DIRECTIONS, len(pixels))
    moved = np.empty_like(pixels)
    for direction in np.unique(directions):
        angle = 2 * np.pi * turns * direction / NUM_DIRECTIONS
        group = directions == direction
        moved[group] = move(pixels[group], float(np.sin(angle)), float(np.cos(angle)))
    return moved


def _mean(parts: Iterable[Pixels]) -> Pixels:
    rest = iter(parts)
    total, number = next(rest), 1
    for part in rest:
        total, number = total + part, number + 1
    return total / np.float32(number)


def _along(pixels: Pixels, rows: Pixels, columns: Pixels) -> Pixels:
    """Every row and every column as weighted sums of others: matrices of shape (height, height) and (width, width)."""
    number, height, width, channels = pixels.shape
    down = rows @ pixels.reshape(number, height, width * channels)
    return np.asarray(columns @ down.reshape(number * height, width, channels)).reshape(pixels.shape)


def _blurring(size: int, deviation: float) -> Pixels:
    """Weights of a Gaussian blur of a line whose ends are repeated: float32, shape (size, size)."""
    reach = int(np.ceil(4 * deviation))
    # The share of the Gaussian that falls on each pixel: sampled at its middle, a narrow one would blur nothing.
    below = NormalDist(0, deviation).cdf
    kernel = np.diff([below(pixel - 0.5) for pixel in range(-reach, reach + 2)])
    places = np.arange(size)[:, None] + np.arange(-reach, reach + 1)
    return _gathered(size, places, np.broadcast_to(kernel / kernel.sum(), places.shape))


def _sliding(size: int, distance: float) -> Pixels:
    """Weights that move a line whose ends are repeated by any distance: float32, shape (size, size)."""
    places = np.arange(size) - distance
    before = np.floor(places).astype(np.int64)
    part = places - before
    return _gathered(size, np.stack([before, before + 1], axis=1), np.stack([1 - part, part], axis=1))


def _gathered(size: int, places: NDArray[np.int64], weights: NDArray[np.float64]) -> Pixels:
    matrix = np.zeros((size, size), dtype=np.float32)
    rows = np.broadcast_to(np.arange(size)[:, None], places.shape)
    np.add.at(matrix, (rows, np.clip(places, 0, size - 1)), weights)
    return matrix


def _slid(pixels: Pixels, down: float, right: float) -> Pixels:
    return _along(pixels, _sliding(pixels.shape[1], down), _sliding(pixels.shape[2], right))


def _turned(pixels: Pixels, angle: float) -> Pixels:
    """Images turned by `angle` radians, with linear interpolation between pixels."""
    height, width = pixels.shape[1:3]
    down, right = np.mgrid[0:height, 0:width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    rows = np.clip(np.cos(angle) * down + np.sin(angle) * right + (height - 1) / 2, 0, height - 1)
    columns = np.clip(np.cos(angle) * right - np.sin(angle) * down + (width - 1) / 2, 0, width - 1)
    top, left = (np.minimum(places.astype(np.int64), size - 2) for places, size in ((rows, height), (columns, width)))
    lower, further = (rows - top).astype(np.float32)[:, :, None], (columns - left).astype(np.float32)[:, :, None]
    above = pixels[:, top, left] * (1 - further) + pixels[:, top, left + 1] * further
    below = pixels[:, top + 1, left] * (1 - further) + pixels[:, top + 1, left + 1] * further
    return np.asarray(above * (1 - lower) + below * lower)


def _through_jpeg(image: Images, quality: int) -> Images:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(image.shape)
