"""What an image file says without being decoded: format, a WebP's size, a PNG's rows, a JPEG's scans, orientation."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from tinysight.errors import ImageError

SUPPORTED_FORMATS = ("PNG", "JPEG", "WebP", "GIF", "BMP")

_SIGNATURES: tuple[tuple[tuple[tuple[int, bytes], ...], str], ...] = (
    (((0, b"\x89PNG\r\n\x1a\n"),), "PNG"),
    (((0, b"\xff\xd8\xff"),), "JPEG"),
    (((0, b"RIFF"), (8, b"WEBP")), "WebP"),
    (((0, b"GIF87a"),), "GIF"),
    (((0, b"GIF89a"),), "GIF"),
    (((0, b"BM"),), "BMP"),
)
# Formats that people hand in and that are not read; naming them is kinder than "not an image".
_KNOWN_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"%PDF", "PDF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML or SVG"),
)


def sniff(data: bytes) -> str:
    """The format by its first bytes, one of `SUPPORTED_FORMATS`; file endings lie too often.

    Raises:
        ImageError: when it is another format or none; the text is the reason alone, without a file's name.
    """
    if not data:
        raise ImageError("is empty; expected an image")
    for signatures, name in _SIGNATURES:
        if all(data[offset : offset + len(part)] == part for offset, part in signatures):
            return name
    supported = ", ".join(SUPPORTED_FORMATS)
    for offset, signature, other in _KNOWN_OTHERS:
        if data[offset : offset + len(signature)] == signature:
            raise ImageError(f"is {other}, which is not supported; expected {supported}")
    raise ImageError(f"is not an image; expected {supported}")


def webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) in a WebP header. Source: RFC 9649, sections 2.5 to 2.7."""
    if len(data) < 30:
        raise ImageError("is damaged: the WebP header is cut off")
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


# Values of a pixel by colour type, and (left, top, across, down) of each pass of Adam7.
# Source: PNG specification, third edition, 6.1 and 8.1.
_PNG_VALUES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png_has_all_rows(data: bytes) -> bool:
    """Whether a PNG that could be decoded holds every row that its header promises; nothing is kept of it."""
    missing = _png_num_bytes(data)
    unpacker = zlib.decompressobj()
    try:
        for part in _png_parts(data):
            while part and missing > 0 and not unpacker.eof:
                missing -= len(unpacker.decompress(part, 65536))
                part = unpacker.unconsumed_tail
        while missing > 0 and (last := unpacker.decompress(b"", 65536)):
            missing -= len(last)
    except zlib.error:
        # A decoder that got through met the fault behind the last row, where it harms nobody.
        return True
    return missing <= 0


def _png_num_bytes(data: bytes) -> int:
    """Of all rows, each with its byte of filter, before they were compressed."""
    width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    total = 0
    for left, top, across, down in _ADAM7 if interlace else ((0, 0, 1, 1),):
        columns, rows = -(-max(0, width - left) // across), -(-max(0, height - top) // down)
        if columns:
            total += rows * (1 + -(-columns * depth * _PNG_VALUES[colour] // 8))
    return total


def _png_parts(data: bytes) -> Iterator[bytes]:
    """The bodies of the IDAT chunks; the last may be cut off."""
    place = 8
    while place + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, place)
        if name == b"IDAT":
            yield data[place + 8 : place + 8 + length]
        place += 12 + length


_SOS, _EOI = 0xDA, 0xD9
# Markers that a length follows, and the end; 0xFF00 is a byte of pixels, and the others stand alone.
_JPEG_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
# Real files have some hundreds at most: metadata of many megabytes comes in segments of 64 KiB.
_MAX_JPEG_SEGMENTS = 20_000


def jpeg_num_scans(data: bytes) -> int:
    """How many scans a decoder can meet in a JPEG, or more: metadata and what follows the end do not count.

    Source: ITU-T T.81, B.1.1. Behind a broken segment decoders go on in ways of their own, so all that looks like a
    scan counts from there on.
    """
    num_scans, place = 0, 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        found = _JPEG_SEGMENT.search(data, place)
        if found is None or data[found.end() - 1] == _EOI:
            return num_scans
        num_scans += data[found.end() - 1] == _SOS
        place = found.end()
        length = int.from_bytes(data[place : place + 2], "big")
        if length < 2 or place + length > len(data):
            break
        place += length
    return num_scans + data.count(b"\xff\xda", place)


def orientation(exif: bytes) -> int:
    """The orientation tag, 1 to 8; 1 when there is none or it cannot be read, as browsers have it.

    Source: Exif 2.3, 4.6.4 (tag 0x0112, type SHORT) and TIFF 6.0, section 2.
    """
    exif = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if start + 2 > len(exif):
        return 1
    (num_entries,) = struct.unpack_from(order + "H", exif, start)
    for entry in range(start + 2, min(start + 2 + 12 * num_entries, len(exif) - 11), 12):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", exif, entry)
        if tag == 0x0112:
            return value if kind == 3 and count == 1 and 1 <= value <= 8 else 1
    return 1
