"""Small pictures inside a page: arrays to PNG or JPEG data URIs.

One picture is one data URI. A sheet of many would save some 70 bytes a picture, but could be neither an `<img>`
with its own alternative text nor be cut without inline styles, which the page's own content policy forbids.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from tinysight.png import png_uri

# Larger ones are shrunk.
MAX_SIDE = 96
# Larger ones are stored as JPEG: as PNG, a page of photographs would have 6 to 8 MB.
MAX_PNG_SIDE = 40
# From black over red and yellow to white: dark is quiet, bright is hot, in grey print too.
_HEAT = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]], np.float32)


def data_uri(image: NDArray[np.uint8], max_side: int | None = MAX_SIDE) -> str:
    """An image as a data URI.

    Args:
        image: uint8, shape (height, width) or (height, width, 1 or 3).
        max_side: pixels from which on it is shrunk; None for never, and for PNG whatever its size.
    """
    from PIL import Image

    pixels = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if max_side is not None and max(picture.size) > min(max_side, MAX_PNG_SIDE):
        buffer = io.BytesIO()
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        picture.save(buffer, format="JPEG", quality=85)
        return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return png_uri(image)


def heat_overlay(image: NDArray[np.uint8], heat: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A grey version of an image with a heat map laid over it: uint8, shape (height, width, 3).

    Args:
        image: uint8, shape (height, width, channels).
        heat: 0..1, shape (height, width).
    """
    grey = image.astype(np.float32).mean(axis=2, keepdims=True).repeat(3, axis=2)
    place = np.clip(heat, 0, 1).astype(np.float32) * (len(_HEAT) - 1)
    below = np.minimum(place.astype(np.int64), len(_HEAT) - 2)
    part = (place - below)[..., None]
    colour = _HEAT[below] * (1 - part) + _HEAT[below + 1] * part
    strength = 0.25 + 0.5 * np.clip(heat, 0, 1)[..., None]
    mixed = grey * (1 - strength) + colour * strength
    return np.asarray(np.round(mixed), np.uint8)


def sheet(pictures: NDArray[np.uint8], num_columns: int, gap: int = 1, shade: int = 128) -> NDArray[np.uint8]:
    """Pictures of one size side by side, row by row, in one.

    Args:
        pictures: uint8, shape (n, height, width) or (n, height, width, channels), n >= 1.
        num_columns: how many a row.
        gap: pixels between them.
        shade: grey level of the gaps.
    """
    stack = pictures[..., None] if pictures.ndim == 3 else pictures
    num_pictures, height, width, channels = stack.shape
    num_rows = -(-num_pictures // num_columns)
    columns = min(num_columns, num_pictures)
    shape = (num_rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    whole = np.full(shape, shade, np.uint8)
    for index, picture in enumerate(stack):
        row, column = divmod(index, num_columns)
        top, left = row * (height + gap), column * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole
