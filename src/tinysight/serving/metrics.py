"""Figures of the running service for Prometheus."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Everything else is counted as "other": a label that clients choose would grow without end.
_PATHS = ("/", "/predict", "/explain", "/examples", "/health", "/model", "/metrics", "/docs", "/openapi.json")


class Metrics:
    """Counters of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("tinysight_requests", "Requests answered.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "tinysight_request_seconds",
            "From the first byte of a request's head to the last of its answer.",
            ["path"],
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self.images = Counter("tinysight_images", "Images classified.", registry=self.registry)
        self.batch_images = Histogram(
            "tinysight_batch_images",
            "Images that went through the model together.",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
        )
        self.inside = Gauge("tinysight_requests_inside", "Requests to /predict inside now.", registry=self.registry)
        ProcessCollector(registry=self.registry)

    def add_batch(self, num_images: int) -> None:
        self.images.inc(num_images)
        self.batch_images.observe(num_images)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)


class Measure:
    """ASGI middleware that counts and times every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in _PATHS else "other"
        status = 500
        start = time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - start)
