"""Image files of every kind that docs/images.md names, as many as one likes, the same in every run."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

Generator = np.random.Generator
SIZES = ((32, 32), (28, 28), (1, 1), (1, 77), (90, 1), (31, 57), (64, 48), (3, 400), (133, 200), (301, 250))
# Large ones are rare, as a picture's time is that of its pixels.
SHARES = (*[0.12] * 8, 0.02, 0.02)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One file.

    Attributes:
        name: its kind, then its number.
        data: the bytes.
    """

    name: str
    data: bytes


def odd_pictures(num: int, seed: int = 11) -> Iterator[Picture]:
    """`num` files; every kind comes before one comes again."""
    generator = np.random.default_rng(seed)
    kinds = list(KINDS.items())
    for number in range(num):
        kind, make = kinds[number % len(kinds)]
        height, width = SIZES[int(generator.choice(len(SIZES), p=SHARES))]
        data = make(generator, height, width)
        yield Picture(name=f"{kind}-{number}", data=data)


def texture(generator: Generator, height: int, width: int, channels: int) -> np.ndarray:
    """Waves and noise, uint8, (height, width, channels): soft and hard edges, bright and dark."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        angle, length, phase = generator.uniform(0, np.pi), generator.uniform(4, 80), generator.uniform(0, 6)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / length + phase)
        planes.append(128 + 100 * wave + generator.normal(0, generator.uniform(1, 40), wave.shape))
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(generator: Generator, height: int, width: int, mode: str) -> Image.Image:
    channels = {"1": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    pixels = texture(generator, height, width, channels)
    if mode == "1":
        return Image.fromarray(pixels[..., 0] > 127)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def exif(orientation: int) -> bytes:
    record = Image.Exif()
    record[0x0112] = orientation
    return record.tobytes()


def raw_png(values: np.ndarray, depth: int, colour: int, *, interlace: bool = False, **chunks: bytes) -> bytes:
    """A PNG by hand, for what Pillow cannot write: `values` has shape (height, width, values of a pixel)."""
    height, width = values.shape[:2]
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    lines = b"".join(_lines(values[top::down, left::across], depth) for left, top, across, down in passes)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    extra = b"".join(chunk(name.encode(), body) for name, body in chunks.items())
    body = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + body


# Left, top, step across, step down of each pass. Source: PNG specification, 8.1.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def _lines(values: np.ndarray, depth: int) -> bytes:
    """Rows with the filter byte 0; none where a pass has no pixel."""
    if not values.size:
        return b""
    return b"".join(b"\0" + _packed(row.ravel(), depth) for row in values)


def _packed(row: np.ndarray, depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = np.unpackbits(row.astype(np.uint8)[:, np.newaxis], axis=1)[:, 8 - depth :]
    return np.packbits(bits.ravel()).tobytes()


def _deep(generator: Generator, height: int, width: int, channels: int) -> np.ndarray:
    high = texture(generator, height, width, channels).astype(np.uint16) << 8
    return high | generator.integers(0, 256, high.shape, dtype=np.uint16)


def _png(mode: str, **options: Any) -> Callable[[Generator, int, int], bytes]:
    return lambda generator, height, width: encode(picture(generator, height, width, mode), "PNG", **options)


def _turned(kind: str, **options: Any) -> Callable[[Generator, int, int], bytes]:
    def make(generator: Generator, height: int, width: int) -> bytes:
        turn = exif(int(generator.integers(1, 9)))
        return encode(picture(generator, height, width, "RGB"), kind, exif=turn, **options)

    return make


def _jpeg(mode: str = "RGB", **options: Any) -> Callable[[Generator, int, int], bytes]:
    def make(generator: Generator, height: int, width: int) -> bytes:
        quality = int(generator.integers(40, 98))
        return encode(picture(generator, height, width, mode), "JPEG", quality=quality, **options)

    return make


def _ycck(generator: Generator, height: int, width: int) -> bytes:
    """CMYK whose marker says that it is kept as brightness, two colours and black."""
    data = bytearray(_jpeg("CMYK")(generator, height, width))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def _palette(generator: Generator, height: int, width: int, num: int) -> Image.Image:
    return picture(generator, height, width, "RGB").quantize(num, Image.Quantize.FASTOCTREE)


def _palette_alpha(generator: Generator, height: int, width: int) -> bytes:
    alphas = generator.integers(0, 256, 16, dtype=np.uint8).tobytes()
    return encode(_palette(generator, height, width, 16), "PNG", transparency=alphas)


def _keyed(depth: int) -> Callable[[Generator, int, int], bytes]:
    """Grey with a colour that the file declares transparent."""

    def make(generator: Generator, height: int, width: int) -> bytes:
        values = generator.integers(0, 2**depth, (height, width, 1))
        return raw_png(values, depth, 0, tRNS=struct.pack(">H", int(values[0, 0, 0])))

    return make


def _keyed_colour(generator: Generator, height: int, width: int) -> bytes:
    values = generator.integers(0, 3, (height, width, 3)) * 100
    return raw_png(values, 8, 2, tRNS=struct.pack(">HHH", *map(int, values[0, 0])))


def _interlaced(generator: Generator, height: int, width: int) -> bytes:
    if generator.integers(2):
        return raw_png(texture(generator, height, width, 4), 8, 6, interlace=True)
    return raw_png(generator.integers(0, 4, (height, width, 1)), 2, 0, interlace=True)


def _gamma(generator: Generator, height: int, width: int) -> bytes:
    """Values that a viewer would correct; the rule ignores them."""
    return raw_png(texture(generator, height, width, 3), 8, 2, gAMA=struct.pack(">I", 100_000))


def _gif(generator: Generator, height: int, width: int) -> bytes:
    if generator.integers(2):
        return encode(_palette(generator, height, width, 64), "GIF", transparency=5)
    frames = [_palette(generator, height, width, 64) for _ in range(3)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _part_of_gif(generator: Generator, height: int, width: int) -> bytes:
    """A first frame that does not reach the whole screen."""
    data = bytearray(encode(_palette(generator, height, width, 32), "GIF"))
    data[6:10] = struct.pack("<HH", width + 3, height + 5)
    return bytes(data)


def _bmp(generator: Generator, height: int, width: int) -> bytes:
    mode = ("RGB", "L", "1", "RGBA")[int(generator.integers(4))]
    return encode(picture(generator, height, width, mode), "BMP")


def _profiled(kind: str, **options: Any) -> Callable[[Generator, int, int], bytes]:
    """With a colour profile, which the rule ignores: LAB's, so that nobody could take it for the screen's."""

    def make(generator: Generator, height: int, width: int) -> bytes:
        profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
        profile[24:36] = bytes(12)  # When it was made. Source: ICC.1, table of the profile's header.
        return encode(picture(generator, height, width, "RGB"), kind, icc_profile=bytes(profile), **options)

    return make


def _webp(mode: str, **options: Any) -> Callable[[Generator, int, int], bytes]:
    return lambda generator, height, width: encode(picture(generator, height, width, mode), "WebP", **options)


KINDS: dict[str, Callable[[Generator, int, int], bytes]] = {
    "png-colour": _png("RGB"),
    "png-grey": _png("L"),
    "png-one-bit": _png("1"),
    "png-alpha": _png("RGBA"),
    "png-grey-alpha": _png("LA"),
    "png-palette": lambda generator, height, width: encode(_palette(generator, height, width, 200), "PNG"),
    "png-palette-few": lambda generator, height, width: encode(_palette(generator, height, width, 3), "PNG", bits=2),
    "png-palette-alpha": _palette_alpha,
    "png-grey-16": lambda generator, height, width: raw_png(_deep(generator, height, width, 1), 16, 0),
    "png-colour-16": lambda generator, height, width: raw_png(_deep(generator, height, width, 3), 16, 2),
    "png-grey-alpha-16": lambda generator, height, width: raw_png(_deep(generator, height, width, 2), 16, 4),
    "png-alpha-16": lambda generator, height, width: raw_png(_deep(generator, height, width, 4), 16, 6),
    "png-keyed-2": _keyed(2),
    "png-keyed-8": _keyed(8),
    "png-keyed-16": _keyed(16),
    "png-keyed-colour": _keyed_colour,
    "png-interlaced": _interlaced,
    "png-gamma": _gamma,
    "png-turned": _turned("PNG"),
    "png-profile": _profiled("PNG"),
    "jpeg": _jpeg(),
    "jpeg-full-colour": _jpeg(subsampling=0),
    "jpeg-half-colour": _jpeg(subsampling=1),
    "jpeg-progressive": _jpeg(progressive=True),
    "jpeg-grey": _jpeg("L"),
    "jpeg-cmyk": _jpeg("CMYK"),
    "jpeg-ycck": _ycck,
    "jpeg-turned": _turned("JPEG", quality=90),
    "jpeg-profile": _profiled("JPEG", quality=90),
    "webp-lossy": _webp("RGB", quality=80),
    "webp-lossy-alpha": _webp("RGBA", quality=80),
    "webp-exact": _webp("RGB", lossless=True),
    "webp-exact-alpha": _webp("RGBA", lossless=True, exact=True),
    "webp-exact-turned": _turned("WebP", lossless=True),
    "webp-exact-profile": _profiled("WebP", lossless=True),
    "gif": _gif,
    "gif-part": _part_of_gif,
    "bmp": _bmp,
}
