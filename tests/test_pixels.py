"""The decoding rule against a second implementation of docs/images.md, and against every kind of bad file."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from odd_pictures import raw_png
from PIL import Image

from tinysight.errors import ImageError, InvalidValueError
from tinysight.pixels import ImageLimits, array_to_input, decode_image

RNG = np.random.default_rng(7)


def noise(height: int, width: int, channels: int) -> np.ndarray:
    pixels = RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes, **chunks: bytes) -> bytes:
    """A PNG by hand, for what Pillow cannot write; `rows` are the packed lines without their filter byte."""
    length = len(rows) // height
    lines = b"".join(b"\0" + rows[y * length : (y + 1) * length] for y in range(height))

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    extra = b"".join(chunk(name.encode(), body) for name, body in chunks.items())
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + end


# The documented arithmetic, written a second time without Pillow.
def over_white(rgba: np.ndarray) -> np.ndarray:
    colour, alpha = rgba[..., :3].astype(int), rgba[..., 3:].astype(int)
    return (colour * alpha + 255 * (255 - alpha) + 127) // 255


def luma(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(rgb.astype(int), -1, 0)
    return (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16


def weights(old: int, new: int) -> list[tuple[int, list[int]]]:
    scale = old / new
    support = max(scale, 1.0)
    table = []
    for position in range(new):
        centre = (position + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), old)
        raw = [max(0.0, 1.0 - abs((x - centre + 0.5) * (1.0 / support))) for x in range(first, last)]
        total = 0.0
        for weight in raw:
            total += weight
        # Multiplied by one over the sum in Pillow's C, not divided.
        table.append((first, [int(0.5 + weight * (1.0 / total) * (1 << 22)) for weight in raw]))
    return table


def stretch_rows(pixels: np.ndarray, new: int) -> np.ndarray:
    result = np.empty((new, *pixels.shape[1:]), int)
    for position, (first, row) in enumerate(weights(len(pixels), new)):
        window = pixels[first : first + len(row)].astype(int)
        total = (1 << 21) + np.tensordot(np.array(row), window, axes=1)
        result[position] = np.clip(total >> 22, 0, 255)
    return result


def stretch(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    if pixels.shape[1] != width:
        pixels = np.swapaxes(stretch_rows(np.swapaxes(pixels, 0, 1), width), 0, 1)
    return stretch_rows(pixels, height) if len(pixels) != height else pixels


def reference(rgb: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    pixels = luma(rgb)[..., np.newaxis] if shape[2] == 1 else rgb
    return stretch(pixels, shape[0], shape[1]).astype(np.uint8)


SHAPES = [(32, 32, 3), (28, 28, 1), (5, 90, 3), (1, 1, 1)]


class TestRule:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("size", [(32, 32), (31, 57), (200, 133), (1, 1), (3, 400), (28, 29)])
    @pytest.mark.parametrize("kind", ["PNG", "BMP", "WebP"])
    def test_colour(self, kind: str, size: tuple[int, int], shape: tuple[int, int, int]) -> None:
        rgb = noise(*size, 3)
        options = {"lossless": True} if kind == "WebP" else {}
        result = decode_image(encode(Image.fromarray(rgb), kind, **options), shape)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, reference(rgb, shape))

    @pytest.mark.parametrize("shape", SHAPES)
    def test_alpha_is_mixed_with_white(self, shape: tuple[int, int, int]) -> None:
        rgba = noise(140, 61, 4)
        expected = reference(over_white(rgba), shape)
        np.testing.assert_array_equal(decode_image(encode(Image.fromarray(rgba), "PNG"), shape), expected)
        webp = encode(Image.fromarray(rgba), "WebP", lossless=True, exact=True)
        np.testing.assert_array_equal(decode_image(webp, shape), expected)

    def test_every_colour_and_alpha_mixes_to_the_rounded_value(self) -> None:
        colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
        rgba = np.stack([colour, colour, colour, alpha], axis=-1).astype(np.uint8)
        result = decode_image(encode(Image.fromarray(rgba), "PNG"), (256, 256, 3))
        exact = (colour * alpha + 255 * (255 - alpha)) / 255
        assert np.abs(result[..., 0] - exact).max() <= 0.5
        np.testing.assert_array_equal(result, over_white(rgba))

    @pytest.mark.parametrize("shape", SHAPES)
    def test_grey_and_grey_with_alpha(self, shape: tuple[int, int, int]) -> None:
        grey = noise(40, 50, 1)
        rgb = np.repeat(grey[..., np.newaxis], 3, axis=2)
        np.testing.assert_array_equal(decode_image(encode(Image.fromarray(grey), "PNG"), shape), reference(rgb, shape))
        alpha = noise(40, 50, 1)
        pair = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
        expected = reference(over_white(np.dstack([rgb, alpha])), shape)
        np.testing.assert_array_equal(decode_image(encode(pair, "PNG"), shape), expected)

    def test_16_bit_grey_is_divided_by_257_and_rounded(self) -> None:
        values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        result = decode_image(encode(Image.fromarray(values), "PNG"), (256, 256, 1))
        np.testing.assert_array_equal(result[..., 0], np.floor(values / 257 + 0.5))

    def test_16_bit_colour_keeps_the_high_byte(self) -> None:
        values = RNG.integers(0, 65536, (9, 9, 3)).astype(">u2")
        result = decode_image(png(9, 9, 16, 2, values.tobytes()), (9, 9, 3))
        np.testing.assert_array_equal(result, values >> 8)

    def test_one_bit(self) -> None:
        bits = noise(16, 24, 1) > 127
        result = decode_image(encode(Image.fromarray(bits), "PNG"), (16, 24, 1))
        np.testing.assert_array_equal(result[..., 0], bits * 255)

    @pytest.mark.parametrize(("depth", "grey"), [(1, 1), (2, 2), (4, 11), (8, 200)])
    def test_transparent_grey_of_few_bits(self, depth: int, grey: int) -> None:
        top = 2**depth - 1
        rows = [[grey, 0] * 4, [0, top] * 4]
        packed = b"".join(int("".join(f"{value:0{depth}b}" for value in row), 2).to_bytes(depth, "big") for row in rows)
        result = decode_image(png(8, 2, depth, 0, packed, tRNS=struct.pack(">H", grey)), (2, 8, 1))[..., 0]
        assert result[0].tolist() == [255, 0] * 4
        assert result[1].tolist() == [0, 255] * 4

    def test_transparent_16_bit_grey_and_colours(self) -> None:
        values = np.array([[1000, 1001], [0, 65535]], ">u2")
        grey = decode_image(png(2, 2, 16, 0, values.tobytes(), tRNS=struct.pack(">H", 1000)), (2, 2, 1))
        assert grey[..., 0].tolist() == [[255, 4], [0, 255]]
        for depth, code in ((8, "u1"), (16, ">u2")):
            high = 257 if depth == 16 else 1
            rgb = (np.array([[[9, 8, 7], [9, 8, 6]]]) * high).astype(code)
            key = struct.pack(">HHH", 9 * high, 8 * high, 7 * high)
            result = decode_image(png(2, 1, depth, 2, rgb.tobytes(), tRNS=key), (1, 2, 3))
            assert result.tolist() == [[[255, 255, 255], [9, 8, 6]]]

    def test_palette_with_and_without_alpha(self) -> None:
        indices = RNG.integers(0, 4, (20, 20), dtype=np.uint8)
        colours = np.array([[255, 0, 0, 255], [0, 255, 0, 0], [0, 0, 255, 128], [9, 9, 9, 1]], np.uint8)
        image = Image.fromarray(indices, "L")
        image.putpalette(colours[:, :3].tobytes())
        opaque = decode_image(encode(image, "PNG"), (20, 20, 3))
        np.testing.assert_array_equal(opaque, colours[indices][..., :3])
        mixed = decode_image(encode(image, "PNG", transparency=colours[:, 3].tobytes()), (20, 20, 3))
        np.testing.assert_array_equal(mixed, over_white(colours[indices]))

    def test_gif_shows_its_first_frame(self) -> None:
        frames = [Image.new("RGB", (10, 8), colour) for colour in ("red", "lime", "blue")]
        data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
        assert decode_image(data, (1, 1, 3)).tolist() == [[[255, 0, 0]]]

    def test_gif_frame_smaller_than_its_screen_lies_on_white(self) -> None:
        data = bytearray(encode(Image.new("RGB", (4, 4), (10, 20, 30)), "GIF"))
        data[6:10] = struct.pack("<HH", 6, 5)
        result = decode_image(bytes(data), (5, 6, 3))
        assert (result[:4, :4] == [10, 20, 30]).all()
        assert (result[4:] == 255).all()
        assert (result[:, 4:] == 255).all()

    def test_animated_webp_shows_its_first_frame(self) -> None:
        frames = [Image.new("RGB", (10, 8), colour) for colour in ("red", "blue")]
        data = encode(frames[0], "WebP", save_all=True, append_images=frames[1:], lossless=True)
        assert decode_image(data, (1, 1, 3)).tolist() == [[[255, 0, 0]]]

    def test_jpeg_equals_its_plain_decoding(self) -> None:
        data = encode(Image.fromarray(noise(64, 48, 3)), "JPEG", quality=80)
        plain = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(decode_image(data, (32, 32, 3)), reference(plain, (32, 32, 3)))

    def test_grey_jpeg(self) -> None:
        grey = encode(Image.new("L", (8, 8), 77), "JPEG")
        assert (decode_image(grey, (4, 4, 3)) == 77).all()

    @pytest.mark.parametrize("transform", [0, 2], ids=["CMYK", "YCCK"])
    def test_jpeg_of_four_inks(self, transform: int) -> None:
        pixels = RNG.integers(0, 256, (150, 40, 4), dtype=np.uint8)
        data = bytearray(encode(Image.fromarray(pixels, "CMYK"), "JPEG", quality=100, subsampling=0))
        marker = data.index(b"Adobe")
        # The marker's last byte says how the inks are kept.
        data[marker + 11] = transform
        light = 255 - np.asarray(Image.open(io.BytesIO(data))).astype(int)
        expected = light[..., :3] * light[..., 3:] // 255
        np.testing.assert_array_equal(decode_image(bytes(data), (150, 40, 3)), expected)

    def test_cyan_takes_red(self) -> None:
        cmyk = encode(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG")
        assert np.abs(decode_image(cmyk, (4, 4, 3)).astype(int) - [0, 255, 255]).max() <= 2

    def test_equal_size_changes_nothing(self) -> None:
        rgb = noise(32, 32, 3)
        np.testing.assert_array_equal(decode_image(encode(Image.fromarray(rgb), "PNG"), (32, 32, 3)), rgb)

    def test_nothing_is_cropped(self) -> None:
        # One dark column at the far edge of a very wide picture still darkens the last pixel.
        wide = np.full((4, 400, 3), 255, np.uint8)
        wide[:, -5:] = 0
        assert decode_image(encode(Image.fromarray(wide), "PNG"), (4, 40, 3))[:, -1].max() < 160


# Source: Exif 2.3, 4.6.4: which side of the picture row 0 and column 0 of the file are.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
    8: lambda a: np.rot90(a, 1),
}


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["PNG", "WebP"])
    def test_is_applied_before_the_stretch(self, kind: str, orientation: int) -> None:
        rgb = noise(12, 30, 3)
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "maker"
        options = {"lossless": True} if kind == "WebP" else {}
        data = encode(Image.fromarray(rgb), kind, exif=exif.tobytes(), **options)
        expected = reference(UPRIGHT[orientation](rgb), (9, 7, 3))
        np.testing.assert_array_equal(decode_image(data, (9, 7, 3)), expected)

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_jpeg_in_both_byte_orders(self, order: str) -> None:
        image = Image.new("RGB", (16, 8), "white")
        image.paste("black", (0, 0, 8, 8))
        mark = b"II*\0" if order == "<" else b"MM\0*"
        exif = b"Exif\0\0" + mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
        result = decode_image(encode(image, "JPEG", quality=95, exif=exif), (16, 8, 1))[..., 0]
        assert result[:6].max() < 50
        assert result[-6:].min() > 200

    @pytest.mark.parametrize(
        "exif",
        [
            b"",
            b"II*\0",
            b"XX*\0" + bytes(20),
            b"II*\0\xff\xff\xff\xff",
            b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 9, 0),
            b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 4, 1, 6, 0),
            b"II*\0" + struct.pack("<IH", 8, 65535),
        ],
    )
    def test_unreadable_exif_counts_as_none(self, exif: bytes) -> None:
        rgb = noise(6, 9, 3)
        data = png(9, 6, 8, 2, rgb.tobytes(), eXIf=exif)
        np.testing.assert_array_equal(decode_image(data, (6, 9, 3)), rgb)


class TestBadFiles:
    def reason(self, data: bytes, **limits: int) -> str:
        with pytest.raises(ImageError) as caught:
            decode_image(data, (32, 32, 3), limits=ImageLimits(**limits), name="cat.png")
        text = str(caught.value)
        assert text.startswith("cat.png: ")
        assert "\n" not in text
        return text

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "GIF", "BMP"])
    def test_cut_off_anywhere(self, kind: str) -> None:
        data = encode(Image.fromarray(noise(40, 40, 3)), kind)
        for end in (1, 4, 12, 20, 29, 40, len(data) // 2, len(data) * 9 // 10):
            self.reason(data[:end])

    def test_no_image(self) -> None:
        assert "is empty" in self.reason(b"")
        assert "not an image; expected PNG, JPEG, WebP, GIF, BMP" in self.reason(b"hello, world" * 10)
        assert "not an image" in self.reason(bytes(1000))

    @pytest.mark.parametrize("kind", ["TIFF", "AVIF", "ICO"])
    def test_other_formats_are_named(self, kind: str) -> None:
        text = self.reason(encode(Image.new("RGB", (16, 16)), kind))
        assert f"is {kind}, which is not supported; expected PNG" in text

    def test_too_many_pixels_are_never_decoded(self) -> None:
        for kind in ("PNG", "JPEG", "GIF", "BMP", "WebP"):
            data = encode(Image.new("RGB", (101, 100)), kind)
            assert "101 x 100 pixels; at most 10,000 in all" in self.reason(data, max_pixels=10_000)
            decode_image(data, (4, 4, 3), limits=ImageLimits(max_pixels=10_100))

    def test_headers_that_promise_40000_x_40000(self) -> None:
        assert "40,000 x 40,000 pixels" in self.reason(png(40_000, 40_000, 8, 2, b"\0" * 40_000))
        lossless = bytearray(encode(Image.new("RGB", (8, 8)), "WebP", lossless=True, exif=b"Exif\0\0II*\0"))
        assert lossless[12:16] == b"VP8X"
        lossless[24:30] = (39_999).to_bytes(3, "little") * 2
        assert "40,000 x 40,000 pixels" in self.reason(bytes(lossless))

    def test_jpeg_of_very_many_scans(self) -> None:
        data = encode(Image.fromarray(noise(16, 16, 3)), "JPEG", progressive=True)
        decode_image(data, (4, 4, 3))
        start = data.rindex(b"\xff\xda")
        assert "scans" in self.reason(data[:-2] + data[start:-2] * 200 + data[-2:])

    @pytest.mark.parametrize("length", [b"\0\0", b"\0\1", b"\0\2"])
    def test_jpeg_of_very_many_scans_behind_a_broken_segment(self, length: bytes) -> None:
        data = encode(Image.fromarray(noise(16, 16, 3)), "JPEG", progressive=True)
        start = data.rindex(b"\xff\xda")
        scans = data[start:-2] * 200 + data[-2:]
        assert "scans" in self.reason(data[:-2] + b"\xff\xfe" + length + scans)

    @pytest.mark.parametrize("between", [b"\xff\xd0", b"\xff\x01", b"\xff\x02", b"\xff\0\xd9", b"\xff\xff\0\xd9"])
    def test_jpeg_of_very_many_scans_with_marks_that_stand_alone(self, between: bytes) -> None:
        data = encode(Image.fromarray(noise(16, 16, 3)), "JPEG", progressive=True)
        start = data.rindex(b"\xff\xda")
        assert "scans" in self.reason(data[:-2] + (between + data[start:-2]) * 200 + data[-2:])

    def test_jpeg_of_very_many_segments_before_its_scans(self) -> None:
        data = encode(Image.fromarray(noise(16, 16, 3)), "JPEG", progressive=True)
        start = data.rindex(b"\xff\xda")
        comments = b"\xff\xfe\0\2" * 300_000
        assert "scans" in self.reason(data[:-2] + comments + data[start:-2] * 200 + data[-2:])

    @pytest.mark.parametrize("end", [0, -2, -40])
    def test_jpeg_whose_other_bytes_look_like_scans(self, end: int) -> None:
        data = encode(Image.fromarray(noise(64, 64, 3)), "JPEG", restart_marker_blocks=1)
        expected = decode_image(data, (16, 16, 3))
        scans = b"\xff\xda\0\2" * 200
        comment = b"\xff\xfe" + struct.pack(">H", 2 + len(scans)) + scans
        if end:
            assert "scans" not in self.reason(data[:2] + comment + data[2:end])
        else:
            film = data[:2] + comment + data[2:] + scans
            np.testing.assert_array_equal(decode_image(film, (16, 16, 3)), expected)

    def test_png_whose_text_unpacks_to_a_gigabyte(self) -> None:
        packer = zlib.compressobj(9)
        bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
        self.reason(png(2, 2, 8, 0, bytes(4), zTXt=b"Comment\0\0" + bomb))

    def test_png_with_less_data_than_it_says(self) -> None:
        self.reason(png(500, 500, 8, 0, bytes(500)))

    @pytest.mark.parametrize("interlace", [False, True])
    @pytest.mark.parametrize(
        ("depth", "colour", "values"), [(8, 2, 3), (8, 0, 1), (1, 0, 1), (16, 0, 1), (8, 6, 4), (16, 2, 3)]
    )
    def test_png_whose_last_rows_are_missing(self, depth: int, colour: int, values: int, interlace: bool) -> None:
        for height in (1, 2, 5, 8, 33):
            rows = RNG.integers(0, 2**depth, (height, 9, values))
            decode_image(raw_png(rows, depth, colour, interlace=interlace), (8, 8, 3))
            for promised in (height + 1, height + 40, 100_000):
                data = bytearray(raw_png(rows, depth, colour, interlace=interlace))
                data[16:24] = struct.pack(">II", 9, promised)
                data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
                assert "is damaged or cut off" in self.reason(bytes(data))

    @pytest.mark.parametrize("interlace", [False, True])
    def test_black_png_is_whole(self, interlace: bool) -> None:
        data = raw_png(np.zeros((700, 301, 4), int), 8, 6, interlace=interlace)
        assert (decode_image(data, (8, 8, 3)) == 255).all()

    def test_thin_pictures_count_as_wide_as_the_model(self) -> None:
        for size in ((2, 4000), (4000, 2)):
            for kind in ("PNG", "JPEG", "GIF", "BMP", "WebP"):
                data = encode(Image.new("RGB", size), kind)
                text = self.reason(data, max_pixels=127_999)
                assert (
                    f"has {size[0]:,} x {size[1]:,} pixels; at most 127,999 in all are decoded, a side counting as 32"
                    in text
                )
                decode_image(data, (32, 32, 3), limits=ImageLimits(max_pixels=128_000))

    def test_png_with_a_wrong_checksum(self) -> None:
        data = bytearray(encode(Image.fromarray(noise(30, 30, 3)), "PNG"))
        data[len(data) // 2] ^= 1
        assert "damaged" in self.reason(bytes(data))

    def test_larger_than_the_limit(self, tmp_path: Path) -> None:
        data = encode(Image.new("RGB", (40, 40)), "BMP")
        assert "larger than 1,000 bytes" in self.reason(data, max_bytes=1000)
        path = tmp_path / "a.bmp"
        path.write_bytes(data)
        with pytest.raises(ImageError, match="larger than 1,000 bytes"):
            decode_image(path, (4, 4, 3), limits=ImageLimits(max_bytes=1000))
        decode_image(path, (4, 4, 3), limits=ImageLimits(max_bytes=len(data)))

    def test_missing_folder_and_impossible_name(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"gone\.png: no such file"):
            decode_image(tmp_path / "gone.png", (4, 4, 3))
        with pytest.raises(ImageError, match="is a folder"):
            decode_image(str(tmp_path), (4, 4, 3))
        with pytest.raises(ImageError, match="no possible file name"):
            decode_image("a\0b.png", (4, 4, 3))

    def test_mutated_files_decode_or_are_named(self) -> None:
        generator = np.random.default_rng(11)
        sources = [
            encode(Image.fromarray(noise(24, 24, channels)), kind)
            for kind, channels in (("PNG", 4), ("JPEG", 3), ("WebP", 4), ("GIF", 3), ("BMP", 3), ("PNG", 1))
        ]
        outcomes = {"decoded": 0, "refused": 0}
        for number in range(600):
            data = bytearray(sources[number % len(sources)])
            for _ in range(int(generator.integers(1, 6))):
                data[generator.integers(0, len(data))] = generator.integers(0, 256)
            try:
                assert decode_image(bytes(data), (8, 8, 3), limits=ImageLimits(max_pixels=10**6)).shape == (8, 8, 3)
                outcomes["decoded"] += 1
            except ImageError:
                outcomes["refused"] += 1
        assert min(outcomes.values()) > 50

    @pytest.mark.parametrize("shape", [(32, 32), (32, 32, 4), (0, 32, 3), (32, 32, 3, 1)])
    def test_impossible_model_shape(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InvalidValueError, match="expected \\(height, width, channels\\)"):
            decode_image(b"", shape)  # type: ignore[arg-type]


class TestArrays:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ((20, 30), 1),
            ((20, 30, 1), 1),
            ((20, 30, 3), 1),
            ((20, 30, 4), 1),
            ((5, 20, 30), 5),
            ((5, 20, 30, 1), 5),
            ((5, 20, 30, 3), 5),
            ((0, 20, 30, 3), 0),
        ],
    )
    def test_shapes(self, given: tuple[int, ...], expected: int) -> None:
        array = RNG.integers(0, 256, given, dtype=np.uint8)
        for shape in ((8, 9, 3), (8, 9, 1)):
            result = array_to_input(array, shape)
            assert result.shape == (expected, *shape)
            assert result.dtype == np.uint8

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_same_as_a_file_of_the_same_pixels(self, channels: int) -> None:
        pixels = noise(33, 21, channels)
        for shape in SHAPES:
            from_file = decode_image(encode(Image.fromarray(pixels), "PNG"), shape)
            np.testing.assert_array_equal(array_to_input(pixels, shape)[0], from_file)

    def test_a_batch_that_fits_is_not_copied(self) -> None:
        batch = noise(8, 8, 3)[np.newaxis]
        assert np.shares_memory(array_to_input(batch, (8, 8, 3)), batch)

    def test_strided_views(self) -> None:
        pixels = noise(40, 40, 3)
        view = pixels[::2, ::-2]
        np.testing.assert_array_equal(array_to_input(view, (9, 9, 3)), array_to_input(view.copy(), (9, 9, 3)))

    @pytest.mark.parametrize("kind", ["float32", "float64", "int32", "int64", "bool", "uint16"])
    def test_other_types_are_refused(self, kind: str) -> None:
        with pytest.raises(InvalidValueError, match=rf"images are {kind}; expected uint8 with raw pixels 0\.\.255"):
            array_to_input(np.zeros((8, 8, 3), kind), (8, 8, 3))

    @pytest.mark.parametrize("shape", [(8,), (8, 8, 3, 1, 1), (2, 8, 8, 2), (2, 0, 8, 3), ()])
    def test_other_shapes_are_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InvalidValueError, match="expected \\(height, width\\)"):
            array_to_input(np.zeros(shape, np.uint8), (8, 8, 3))
