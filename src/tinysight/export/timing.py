"""How long a model takes: one image after the other, and full batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_SIZE = 256
WARM_UP, NUM_SINGLE = 20, 500
MIN_BATCHES, BATCH_SECONDS = 3, 2.0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Wall-clock times on this machine.

    Attributes:
        p50_ms, p99_ms: of one image by itself, milliseconds.
        images_per_second: in batches of `BATCH_SIZE`.
    """

    p50_ms: float
    p99_ms: float
    images_per_second: float


def measure(predict: Callable[[NDArray[np.uint8]], Any], images: NDArray[np.uint8]) -> Timing:
    """Times `predict` on uint8 images (n, height, width, channels), which are repeated to fill a batch."""
    singles = [images[index % len(images)][None] for index in range(NUM_SINGLE)]
    for image in singles[:WARM_UP]:
        predict(image)
    seconds = [_seconds(predict, image) for image in singles]
    batch = np.resize(images, (BATCH_SIZE, *images.shape[1:]))
    predict(batch)
    return Timing(
        p50_ms=1000 * float(np.percentile(seconds, 50)),
        p99_ms=1000 * float(np.percentile(seconds, 99)),
        images_per_second=BATCH_SIZE / float(np.median(_batch_seconds(predict, batch))),
    )


def _batch_seconds(predict: Callable[[NDArray[np.uint8]], Any], batch: NDArray[np.uint8]) -> list[float]:
    taken: list[float] = []
    while len(taken) < MIN_BATCHES or sum(taken) < BATCH_SECONDS:
        taken.append(_seconds(predict, batch))
    return taken


def _seconds(predict: Callable[[NDArray[np.uint8]], Any], images: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    predict(images)
    return time.perf_counter() - start
