"""Numbers as grey pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_pictures(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Maps as grey pictures, each from its own lowest to its own highest value; a flat one is black.

    Maps of one cell, which say nothing by themselves, are put on one scale over the channels.

    Args:
        values: float32, shape (rows, columns, channels).

    Returns:
        uint8, shape (channels, rows, columns).
    """
    maps = values.transpose(2, 0, 1)
    axes = (0, 1, 2) if maps[0].size == 1 else (1, 2)
    low, high = maps.min(axis=axes, keepdims=True), maps.max(axis=axes, keepdims=True)
    spread = np.where(high > low, high - low, 1)
    return np.asarray(np.rint(255 * (maps - low) / spread), np.uint8)
