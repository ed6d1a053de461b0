"""An image inside a page: an array as the address of a PNG."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray


def png_uri(image: NDArray[np.uint8]) -> str:
    """An image as a data URI, lossless.

    Args:
        image: uint8, shape (height, width) or (height, width, 1 or 3).
    """
    from PIL import Image

    pixels = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=9)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
