"""Numbers as grey pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_pictures(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Maps as grey pictures, each from its own lowest to its own highest value; a flat one is black.

    Args:
        values: float32, shape (rows, columns, channels).

    Returns:
        uint8, shape (channels, rows, columns).
    """
    maps = values.transpose(2, 0, 1)
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    spread = np.where(high > low, high - low, 1)
    return np.asarray(np.rint(255 * (maps - low) / spread), np.uint8)
