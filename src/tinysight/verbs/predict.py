"""`tinysight predict`: classify image files or arrays with a run, without TensorFlow."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tinysight.errors import ImageError, InvalidValueError
from tinysight.serving.image_paths import STANDARD_INPUT, Found, find_images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tinysight.serving.predictor import Predictor

# One batch of decoded pictures is all that lies in memory.
BATCH_SIZE = 64


def predict_files(
    model_path: str | Path, patterns: Iterable[str | Path], top: int = 3, *, stdin: BinaryIO | None = None
) -> Iterator[dict[str, Any]]:
    """Classifies image files.

    Args:
        model_path: a run folder, or an ONNX file that Tinysight wrote.
        patterns: paths, folders, patterns, or `-` for one image on standard input; see `find_images`.
        top: how many classes to give per image, best first.
        stdin: where the bytes of `-` come from; the process's standard input when None.

    Returns:
        In order, per image a record with `path` and either `classes`, a list of {`name`, `score`}, or `error`.

    Raises:
        ImageError: when nothing at all was found.
        RunError, ModelError: when `model_path` holds no usable model.
        InvalidValueError: when `top` is below 1.
    """
    from tinysight.serving.predictor import load_predictor

    return classify(load_predictor(model_path), find_images(patterns), top, stdin=stdin)


def predict_images(model_path: str | Path, images: Any) -> NDArray[np.float32]:
    """Probabilities for pixels in memory.

    Args:
        model_path: a run folder, or an ONNX file that Tinysight wrote.
        images: uint8, raw pixels 0..255: one picture (height, width) or (height, width, channels), or a batch of them
            with one axis in front; another size or number of channels is brought to the model's (docs/images.md).

    Returns:
        float32, shape (n, classes); n is 1 for one picture.

    Raises:
        RunError, ModelError: when `model_path` holds no usable model.
        InvalidValueError: when `images` is of another type or shape.
    """
    from tinysight.pixels import array_to_input
    from tinysight.serving.predictor import load_predictor

    predictor = load_predictor(model_path)
    return predictor.predict(array_to_input(images, predictor.info.image_shape))


def classify(
    predictor: Predictor, found: Iterable[Found], top: int = 3, *, stdin: BinaryIO | None = None
) -> Iterator[dict[str, Any]]:
    """`predict_files` for images that were found already; nothing is decoded before the first record is asked for.

    Args:
        predictor: the model.
        found: as `tinysight.serving.image_paths.find_images` gives them.
        top: how many classes a record names.
        stdin: what `-` stands for; None for standard input.

    Returns:
        The records of `predict_files`, in the order of `found`.

    Raises:
        InvalidValueError: when `top` is below 1.
    """
    if top < 1:
        raise InvalidValueError(f"top is {top}; expected 1 or more")
    return _in_batches(predictor, iter(found), top, stdin or sys.stdin.buffer)


def _in_batches(predictor: Predictor, found: Iterator[Found], top: int, stdin: BinaryIO) -> Iterator[dict[str, Any]]:
    while batch := list(islice(found, BATCH_SIZE)):
        yield from _classify_batch(predictor, batch, top, stdin)


def _classify_batch(predictor: Predictor, batch: list[Found], top: int, stdin: BinaryIO) -> Iterator[dict[str, Any]]:
    import numpy as np

    from tinysight.serving.predictor import top_classes

    shape, names = predictor.info.image_shape, predictor.info.class_names
    pixels: list[NDArray[np.uint8]] = []
    records: list[dict[str, Any]] = []
    for item in batch:
        try:
            pixels.append(_decode(item, shape, stdin))
            records.append({"path": item.path})
        except ImageError as error:
            records.append({"path": item.path, "error": str(error).removeprefix(f"{item.path}: ")})
    best = iter(top_classes(predictor.predict(np.stack(pixels)), names, top) if pixels else ())
    for record in records:
        if "error" not in record:
            record["classes"] = next(best)
        yield record


def _decode(item: Found, shape: tuple[int, int, int], stdin: BinaryIO) -> NDArray[np.uint8]:
    from tinysight.pixels import DEFAULT_LIMITS, decode_image

    if item.error:
        raise ImageError(item.error)
    if item.path == STANDARD_INPUT:
        return decode_image(stdin.read(DEFAULT_LIMITS.max_bytes + 1), shape, name=item.path)
    return decode_image(item.path, shape)
