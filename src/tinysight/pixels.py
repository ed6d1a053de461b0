"""One picture to one uint8 array: the decoding and resizing rule, the same everywhere.

`docs/images.md` states the rule with its exact arithmetic, so that other programs (the page in a browser) can follow it
bit by bit. In short: decode, 16 bits to 8, palette to colours, alpha over white, orientation, grey or RGB, stretch.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ImageError, InvalidValueError
from tinysight.image_headers import jpeg_num_scans, orientation, png_has_all_rows, sniff, webp_size

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile

ImageShape = tuple[int, int, int]
Result = TypeVar("Result")

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".dib")

# A progressive JPEG is decoded once per scan: a few bytes each, a whole picture's work each. Real ones have about ten.
_MAX_JPEG_SCANS = 100
_STRIP_ROWS = 128
_NO_FILE, _UNREADABLE, _NO_MEMORY = "no such file", "cannot be read", "needs more memory than there is"


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """What one picture may cost.

    Attributes:
        max_pixels: width times height, checked in the file's header before anything is decoded. A side that is shorter
            than the model is wide counts as that, since the first stretch makes it so.
        max_bytes: size of the file.
    """

    max_pixels: int = 100_000_000
    max_bytes: int = 256 * 1024 * 1024


DEFAULT_LIMITS = ImageLimits()


def decode_image(
    source: str | Path | bytes,
    image_shape: ImageShape,
    *,
    limits: ImageLimits = DEFAULT_LIMITS,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """One picture as the model's input.

    Args:
        source: a path, or the bytes of the file.
        image_shape: (height, width, channels) that the model takes; channels is 1 (grey) or 3 (RGB).
        limits: what the picture may cost.
        name: what errors call the picture; the path when None.

    Returns:
        uint8 of shape `image_shape`, raw pixels 0..255.

    Raises:
        ImageError: when the file is missing, a folder, no image, of another format, damaged, or past a limit.
        InvalidValueError: when `image_shape` is no shape of an image.
    """
    _check_shape(image_shape)
    if isinstance(source, bytes):
        label, data = name or "image", source
    else:
        label, data = name or str(source), _read(Path(source), limits, name or str(source))
    try:
        return _decode(data, image_shape, limits)
    except ImageError as error:
        raise ImageError(f"{label}: {error}") from None


def may_pass(reason: str) -> bool:
    """Whether what an ImageError says is of the system, not of the picture, so that the same file may be read later."""
    return reason.startswith((_NO_FILE, _UNREADABLE, _NO_MEMORY))


def array_to_input(array: Any, image_shape: ImageShape) -> NDArray[np.uint8]:
    """Pixels that are in memory already as the model's input, by the same rule as files.

    Args:
        array: uint8, raw pixels 0..255: one picture (height, width) or (height, width, channels), or a batch with one
            axis in front; channels is 1 (grey), 3 (RGB) or 4 (RGB and alpha). Three axes are one picture when the last
            is 1, 3 or 4 long, else a batch of grey ones.
        image_shape: (height, width, channels) that the model takes.

    Returns:
        uint8 of shape (n, height, width, channels); n is 1 for one picture.

    Raises:
        InvalidValueError: when `array` is of another type or shape.
    """
    _check_shape(image_shape)
    pixels = np.asarray(array)
    if pixels.dtype != np.uint8:
        raise InvalidValueError(
            f"images are {pixels.dtype}; expected uint8 with raw pixels 0..255 (scaling is inside the model):"
            " undo any scaling and convert with .astype('uint8')"
        )
    batch = _as_batch(pixels)
    if batch.shape[1:] == image_shape:
        return batch
    if not len(batch):
        return np.empty((0, *image_shape), np.uint8)
    return np.stack([_picture_to_input(picture, image_shape) for picture in batch])


def _check_shape(image_shape: ImageShape) -> None:
    if len(image_shape) != 3 or image_shape[2] not in (1, 3) or min(image_shape) < 1:
        raise InvalidValueError(f"image shape is {image_shape}; expected (height, width, channels), channels 1 or 3")


def _as_batch(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shape = pixels.shape
    if pixels.ndim == 2:
        pixels = pixels[np.newaxis, :, :, np.newaxis]
    elif pixels.ndim == 3:
        pixels = pixels[np.newaxis] if shape[2] in (1, 3, 4) else pixels[..., np.newaxis]
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3, 4) or 0 in pixels.shape[1:]:
        raise InvalidValueError(
            f"images have shape {shape}; expected (height, width), (height, width, channels) or a batch"
            " (n, height, width, channels) with 1, 3 or 4 channels"
        )
    return pixels


def _picture_to_input(picture: NDArray[np.uint8], image_shape: ImageShape) -> NDArray[np.uint8]:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture[..., 0] if picture.shape[2] == 1 else picture))
    return _fit(_over_white(image) if image.mode == "RGBA" else image, image_shape)


def _read(path: Path, limits: ImageLimits, label: str) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more than allowed tells a file at the limit from one past it, even where it has no size (a pipe).
            return file.read(limits.max_bytes + 1)
    except FileNotFoundError:
        raise ImageError(f"{label}: {_NO_FILE}") from None
    except OSError as error:
        # Windows says "permission denied" when a folder is opened.
        reason = "is a folder; expected an image file" if path.is_dir() else f"{_UNREADABLE}: {error.strerror}"
        raise ImageError(f"{label}: {reason}") from None
    except ValueError:
        raise ImageError(f"{label!r}: is no possible file name") from None


def _decode(data: bytes, image_shape: ImageShape, limits: ImageLimits) -> NDArray[np.uint8]:
    """The rule from bytes to pixels; the text of an ImageError is the reason alone."""
    if len(data) > limits.max_bytes:
        raise ImageError(f"is larger than {limits.max_bytes:,} bytes, the limit")
    kind = sniff(data)
    if kind == "WebP":
        # Pillow's reader takes memory for the whole canvas as soon as it sees a header, so this comes first.
        _check_size(webp_size(data), limits, least=image_shape[1])
    image = _guarded(lambda: _open(kind, data))
    _check_size(image.size, limits, least=image_shape[1])
    if kind == "JPEG" and jpeg_num_scans(data) > _MAX_JPEG_SCANS:
        raise ImageError(f"has more than {_MAX_JPEG_SCANS} scans, which no picture needs")
    return _guarded(lambda: _load(kind, image, data, image_shape))


def _check_size(size: tuple[int, int], limits: ImageLimits, least: int) -> None:
    """A side counts as `least` at least: the first stretch makes any picture as wide as the model."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"is damaged: it says that it is {width} x {height} pixels")
    if max(width, least) * max(height, least) > limits.max_pixels:
        thin = "" if width * height > limits.max_pixels else f", a side counting as {least} or more"
        raise ImageError(f"has {width:,} x {height:,} pixels; at most {limits.max_pixels:,} in all are decoded{thin}")


def _open(kind: str, data: bytes) -> ImageFile:
    """The image with its header read. The reader is called by name: `Image.open` would load those of other formats too,
    and its own limit on pixels is a setting of the whole process, with a warning instead of an error."""
    prefix = {"PNG": "Png", "JPEG": "Jpeg", "WebP": "WebP", "GIF": "Gif", "BMP": "Bmp"}[kind]
    plugin = importlib.import_module(f"PIL.{prefix}ImagePlugin")
    image: ImageFile = getattr(plugin, f"{prefix}ImageFile")(io.BytesIO(data))
    return image


def _guarded(step: Callable[[], Result]) -> Result:
    """Runs a step of decoding; damage ends as an ImageError, whatever Pillow's readers raised for it."""
    try:
        return step()
    except (ImageError, InvalidValueError):
        raise
    except MemoryError:
        raise ImageError(_NO_MEMORY) from None
    except Exception as error:  # On damaged files Pillow's readers raise nearly every built-in exception.
        raise ImageError(f"is damaged or cut off ({' '.join(str(error).split()) or type(error).__name__})") from None


def _load(kind: str, image: ImageFile, data: bytes, image_shape: ImageShape) -> NDArray[np.uint8]:
    covered = image.tile[0].extents if kind == "GIF" and image.tile else None
    image.load()
    if kind == "PNG":
        _check_rows(image, data)
        _rescale_transparency(image, bit_depth=data[24])
    opaque = _to_opaque(image)
    if covered is not None and covered != (0, 0, *image.size):
        opaque = _on_white_canvas(opaque, covered)
    return _fit(_turn(opaque, orientation(image.info.get("exif", b""))), image_shape)


def _check_rows(image: PillowImage, data: bytes) -> None:
    """Pillow leaves black what a PNG lacks whose data ends early; so where the end is black, rows are counted."""
    last_row = image.crop((0, image.height - 1, image.width, image.height))
    is_interlaced = data[28] != 0
    if (is_interlaced or last_row.getbbox(alpha_only=False) is None) and not png_has_all_rows(data):
        raise ImageError("is damaged or cut off (it has fewer rows than it says)")


def _rescale_transparency(image: PillowImage, bit_depth: int) -> None:
    """Brings a PNG's transparent colour to the depth of the pixels; Pillow leaves it at the depth of the file."""
    colour = image.info.get("transparency")
    if image.mode in ("1", "L") and isinstance(colour, int) and bit_depth < 8:
        image.info["transparency"] = colour * 255 // (2**bit_depth - 1)
    elif image.mode == "RGB" and isinstance(colour, tuple) and bit_depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _to_opaque(image: PillowImage) -> PillowImage:
    """Mode L or RGB, without alpha."""
    if image.mode == "I;16":
        return _grey_16_to_8(image)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        return _over_white(image.convert("RGBA"))
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGB")
    if image.mode == "CMYK":
        return _by_strips(image, _inks_to_rgb)
    raise ImageError(f"has pixels of kind {image.mode}, which is not supported; save it as RGB or grey")


def _grey_16_to_8(image: PillowImage) -> PillowImage:
    from PIL import Image

    values = np.asarray(image)
    table = ((np.arange(65536) + 128) // 257).astype(np.uint8)
    grey = table[values]
    if isinstance(colour := image.info.get("transparency"), int):
        grey[values == colour] = 255
    return Image.fromarray(grey)


def _over_white(image: PillowImage) -> PillowImage:
    return _by_strips(image, _alpha_over_white)


def _by_strips(image: PillowImage, convert: Callable[[NDArray[np.uint16]], NDArray[np.uint16]]) -> PillowImage:
    """RGB by a formula on the pixels, few rows at a time, as the values between are twice as large."""
    from PIL import Image

    result = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + _STRIP_ROWS, image.height)))
        pixels = convert(np.asarray(strip).astype(np.uint16))
        result.paste(Image.fromarray(pixels.astype(np.uint8)), (0, top))
    return result


def _alpha_over_white(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """RGBA to RGB: (colour * alpha + 255 * (255 - alpha) + 127) // 255, which never leaves 16 bits."""
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    # The white part comes first: colour * alpha plus it is at most 65,152, in either order of summing.
    mixed = 255 * (255 - alpha) + 127 + colour * alpha
    return mixed // 255


def _inks_to_rgb(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """CMYK to RGB as Chromium does it: what cyan, magenta or yellow lets through, times what black does, cut off."""
    light = 255 - pixels
    return light[..., :3] * light[..., 3:] // 255


def _on_white_canvas(image: PillowImage, covered: tuple[int, ...]) -> PillowImage:
    """White wherever the first frame of a GIF does not reach."""
    from PIL import Image

    left, top, right, bottom = covered
    canvas = Image.new(image.mode, image.size, "white")
    canvas.paste(image.crop((left, top, right, bottom)), (left, top))
    return canvas


def _turn(image: PillowImage, turn: int) -> PillowImage:
    if turn == 1:
        return image
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[turn])


def _fit(image: PillowImage, image_shape: ImageShape) -> NDArray[np.uint8]:
    """Opaque L or RGB to the model's channels, then stretched to its size."""
    height, width, channels = image_shape
    mode = "L" if channels == 1 else "RGB"
    # Pillow would copy where there is nothing to do, a third of the time that a small picture takes.
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (width, height):
        image = _stretch(image, width, height)
    return np.array(image, dtype=np.uint8).reshape(image_shape)


def _stretch(image: PillowImage, width: int, height: int) -> PillowImage:
    from PIL.Image import Resampling

    # Width first, then height, as two calls: in one call Pillow 13 chooses the order by the shape, earlier ones did
    # not, and the order changes the rounding.
    image = image.resize((width, image.height), Resampling.BILINEAR)
    return image.resize((width, height), Resampling.BILINEAR)
