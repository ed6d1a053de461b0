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
from tinysight.serving.examples import Examples, png_base64
from tinysight.serving.forms import extract_images
from tinysight.serving.heatmap import occlusion_map
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
        examples: test pictures to show, or None.
    """

    def __init__(self, predictor: Predictor, limits: ServiceLimits, examples: Examples | None = None) -> None:
        self.predictor, self.limits, self.metrics = predictor, limits, Metrics()
        self._examples = examples
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
        # An explanation costs as much as 82 predictions: one at a time, so that predictions are still answered.
        self._explainer = ThreadPoolExecutor(1, thread_name_prefix="explain")
        if self._examples is not None:
            self._examples.start()
        async with Batcher(self.predictor.predict, on_batch=self.metrics.add_batch) as self._batcher:
            try:
                yield
            finally:
                self._decoders.shutdown(cancel_futures=True)
                self._explainer.shutdown(cancel_futures=True)

    async def predict(self, request: Request, top: int) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            HTTPException: when the request is refused.
        """
        with self._admission.enter() as body:
            content = await body.read(request)
            async with self._in_time():
                images = await self._decode(content, request, self.limits.max_images)
                scores = await self._batcher.submit(images)
        names = self.predictor.info.class_names
        return {
            "model": self.predictor.info.recipe,
            "version": self.version,
            "predictions": [{"classes": classes} for classes in top_classes(scores, names, top)],
        }

    async def explain(self, request: Request, class_index: int) -> dict[str, Any]:
        """What the model saw of one picture, and where it looked for a class that there is.

        Raises:
            HTTPException: when the request is refused.
        """
        with self._admission.enter() as body:
            content = await body.read(request)
            async with self._in_time():
                (image,) = await self._decode(content, request, 1)
                loop = asyncio.get_running_loop()
                heat = await loop.run_in_executor(self._explainer, occlusion_map, self.predictor, image, class_index)
        return {
            "model": self.predictor.info.recipe,
            "version": self.version,
            "class_name": self.predictor.info.class_names[class_index],
            "input": png_base64(image),
            "heat": png_base64(np.rint(heat * 255).astype(np.uint8)),
        }

    def examples(self, class_index: int) -> dict[str, Any]:
        """The answer to `GET /examples` for a class that there is."""
        found = [] if self._examples is None else self._examples.of(class_index)
        return {
            "class_name": self.predictor.info.class_names[class_index],
            "examples": [
                {
                    "image": png_base64(example.pixels),
                    "predicted": example.predicted,
                    "score": example.score,
                    "is_right": example.is_right,
                }
                for example in found
            ],
        }

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.limits.max_seconds):
                yield
        except TimeoutError:
            raise busy(f"there was no answer within {self.limits.max_seconds:g} s; try again") from None

    async def _decode(self, content: bytes, request: Request, max_images: int) -> NDArray[np.uint8]:
        content_type = request.headers.get("content-type", "")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoders, self._decode_now, content, content_type, max_images)

    def _decode_now(self, content: bytes, content_type: str, max_images: int) -> NDArray[np.uint8]:
        shape = self.predictor.info.image_shape
        limits = ImageLimits(max_pixels=self.limits.max_pixels, max_bytes=self.limits.max_body_bytes)
        files = extract_images(content, content_type, max_images)
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
