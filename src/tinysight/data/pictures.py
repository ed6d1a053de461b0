"""What is done to every picture of a listing: decode it, or look at its header. Runs here or in worker processes."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ImageError
from tinysight.image_headers import orientation, sniff, webp_size
from tinysight.pixels import DEFAULT_LIMITS, ImageShape, decode_image

_GREY_MODES = ("1", "L", "LA", "I;16")
# Enough to see colour where there is any; stretching grey pixels keeps them grey.
_COLOUR_SIDE = 64
# What errors call a picture here; the items' own names take its place.
_NAME = "image"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a picture's file says before its pixels are decoded.

    Attributes:
        format: "PNG", "JPEG", "WebP", "GIF" or "BMP", by its first bytes.
        height, width: in pixels, after turning as its orientation says.
        mode: Pillow's word for its pixels, as in "RGB" or "L".
        num_bytes: size of the file.
    """

    format: str
    height: int
    width: int
    mode: str
    num_bytes: int


def reader(kind: str, base: Path) -> Callable[[str], bytes | Path]:
    """A function from an item's name to its file or the bytes of it."""
    if kind == "arrow":
        from tinysight.data.arrow import Cells

        return Cells(base)
    return lambda name: base / name


def decode_pictures(
    read: Callable[[str], bytes | Path], names: Iterable[str], image_shape: ImageShape
) -> tuple[NDArray[np.uint8], list[tuple[int, str]]]:
    """Decodes pictures as prediction does.

    Returns:
        (images, failed): uint8 (k, height, width, channels), those that can be read, in order; and for each other one
        its position among the names and the reason.
    """
    images: list[NDArray[np.uint8]] = []
    failed: list[tuple[int, str]] = []
    for position, name in enumerate(names):
        try:
            images.append(decode_image(read(name), image_shape, name=_NAME))
        except ImageError as error:
            failed.append((position, _reason(error)))
    return np.stack(images) if images else np.empty((0, *image_shape), np.uint8), failed


def picture_facts(read: Callable[[str], bytes | Path], name: str) -> Facts:
    """Looks at one picture's header.

    Raises:
        ImageError: when it is no picture that can be read; the text is the reason.
    """
    try:
        data = _content(read(name))
        kind = sniff(data)
        size, mode = _header(kind, data)
    except ImageError as error:
        raise ImageError(_reason(error)) from None
    return Facts(format=kind, height=size[1], width=size[0], mode=mode, num_bytes=len(data))


def is_grey(read: Callable[[str], bytes | Path], name: str, facts: Facts) -> bool:
    """Whether a picture has no colour: by its mode, else by its pixels."""
    if facts.mode in _GREY_MODES:
        return True
    shape = (min(facts.height, _COLOUR_SIDE), min(facts.width, _COLOUR_SIDE), 3)
    try:
        pixels = decode_image(read(name), shape)
    except ImageError:
        return True  # It is left out later, with its reason; it has no say in the colours.
    return bool((pixels == pixels[..., :1]).all())


def _content(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        if source.stat().st_size > DEFAULT_LIMITS.max_bytes:
            raise ImageError(f"is larger than {DEFAULT_LIMITS.max_bytes:,} bytes, the limit")
        return source.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from None


def _header(kind: str, data: bytes) -> tuple[tuple[int, int], str]:
    if kind == "WebP":
        # Pillow takes memory for the whole canvas as soon as it sees a header.
        width, height = webp_size(data)
        if width * height > DEFAULT_LIMITS.max_pixels:
            raise ImageError(f"has {width:,} x {height:,} pixels; at most {DEFAULT_LIMITS.max_pixels:,} are decoded")
    prefix = {"PNG": "Png", "JPEG": "Jpeg", "WebP": "WebP", "GIF": "Gif", "BMP": "Bmp"}[kind]
    plugin = importlib.import_module(f"PIL.{prefix}ImagePlugin")
    try:
        image: Any = getattr(plugin, f"{prefix}ImageFile")(io.BytesIO(data))
        turn = orientation(image.info.get("exif", b""))
    except Exception as error:  # On damaged files Pillow's readers raise nearly every built-in exception.
        raise ImageError(f"is damaged or cut off ({' '.join(str(error).split()) or type(error).__name__})") from None
    width, height = image.size
    return ((height, width) if turn >= 5 else (width, height)), str(image.mode)


def _reason(error: ImageError) -> str:
    """The text without the name in front, which the item's own replaces."""
    return str(error).removeprefix(f"{_NAME}: ")
