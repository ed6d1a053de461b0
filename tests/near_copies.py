"""Copies of images that are no longer the same bytes, as near duplicates are."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def jpeg(image: Pixels, quality: int = 75) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(image.shape)


def cropped(image: Pixels, top: int, bottom: int, left: int, right: int) -> Pixels:
    height, width = image.shape[:2]
    inner = Image.fromarray(image[top : height - bottom, left : width - right].squeeze())
    return np.asarray(inner.resize((width, height), Image.Resampling.BICUBIC)).reshape(image.shape)


def moved(image: Pixels, down: int, right: int) -> Pixels:
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    return padded[1 - down : 1 - down + image.shape[0], 1 - right : 1 - right + image.shape[1]]


def noisy(image: Pixels) -> Pixels:
    noise = np.random.default_rng(9).normal(0, 4, image.shape)
    return np.clip((image + noise).round(), 0, 255).astype(np.uint8)


DAMAGES: dict[str, Callable[[Pixels], Pixels]] = {
    "brighter": lambda image: np.clip(image.astype(int) + 10, 0, 255).astype(np.uint8),
    "darker": lambda image: np.clip(image.astype(int) - 10, 0, 255).astype(np.uint8),
    "noise": noisy,
    "right": lambda image: moved(image, 0, 1),
    "up and left": lambda image: moved(image, -1, -1),
    "jpeg": jpeg,
    "crop all round": lambda image: cropped(image, 1, 1, 1, 1),
    "crop a corner": lambda image: cropped(image, 1, 0, 0, 1),
}
