"""What the service does with a request, apart from routes and documents: admit, read, decode, run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from fastapi import HTTPException, Request
from numpy.typing import NDArray

from tinysight.errors import ImageError
from tinysight.files import digest
from tinysight.pixels import ImageLimits, decode_image
from tinysight.serving.batching import Batcher
from tinysight.serving.bodies import Admission, busy
from tinysight.serving.forms import extract_images
from tinysight.serving.limits import ServiceLimits
from tinysight.serving.metrics import Metrics
from tinysight.serving.predictor import Predictor, top_classes

# Decoding is C code without the interpreter's lock, but each thread may hold a whole picture, up to 22 bytes a pixel.
_MAX_DECODERS = 4


class Service:
    """One model behind limits, a queue and metrics.

    Args:
        predictor: the model.
        limits: what requests may cost.
    """

    def __init__(self, predictor: Predictor, limits: ServiceLimits) -> None:
        self.predictor, self.limits, self.metrics = predictor, limits, Metrics()
        self.version = digest(predictor.path)[:12]
        self._admission = Admission(limits)
        self.metrics.inside.set_function(lambda: self._admission.num_requests)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Threads and queue, for as long as the block lasts."""
        # The first run plans its memory; better now than in somebody's request.
        self.predictor.predict(np.zeros((1, *self.predictor.info.image_shape), np.uint8))
        num_decoders = min(_MAX_DECODERS, os.cpu_count() or 1)
        self._decoders = ThreadPoolExecutor(num_decoders, thread_name_prefix="decode")
        async with Batcher(self.predictor.predict, on_batch=self.metrics.add_batch) as self._batcher:
            try:
                yield
            finally:
                self._decoders.shutdown(cancel_futures=True)

    async def predict(self, request: Request, top: int) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            HTTPException: when the request is refused.
        """
        with self._admission.enter() as body:
            content = await body.read(request)
            scores = await self._classify(content, request.headers.get("content-type", ""))
        names = self.predictor.info.class_names
        return {
            "model": self.predictor.info.recipe,
            "version": self.version,
            "predictions": [{"classes": top_classes(row, names, top)} for row in scores],
        }

    async def _classify(self, content: bytes, content_type: str) -> NDArray[np.float32]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.limits.max_seconds):
                images = await loop.run_in_executor(self._decoders, self._decode, content, content_type)
                return await self._batcher.submit(images)
        except TimeoutError:
            raise busy(f"there was no answer within {self.limits.max_seconds:g} s; try again") from None

    def _decode(self, content: bytes, content_type: str) -> NDArray[np.uint8]:
        shape = self.predictor.info.image_shape
        limits = ImageLimits(max_pixels=self.limits.max_pixels, max_bytes=self.limits.max_body_bytes)
        files = extract_images(content, content_type, self.limits.max_images)
        try:
            return np.stack(
                [decode_image(file, shape, limits=limits, name=f"image {n}") for n, file in enumerate(files, start=1)]
            )
        except ImageError as error:
            raise HTTPException(422, str(error)) from None

    def describe(self) -> dict[str, Any]:
        """The answer to `GET /model`."""
        info = self.predictor.info
        return {
            "model": info.recipe,
            "version": self.version,
            "class_names": list(info.class_names),
            "image_shape": list(info.image_shape),
            "created": info.created,
            "package_version": info.version,
            "extra": info.extra,
            "limits": asdict(self.limits),
        }
