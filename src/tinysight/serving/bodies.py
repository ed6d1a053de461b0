"""Receiving a request's body: never more than allowed, never forever, and an answer even to who sends too much."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tinysight.serving.limits import ServiceLimits

# For how long what a refused client still sends is thrown away, so that it comes to read the answer.
LINGER_SECONDS = 2.0


class Admission:
    """Counts the requests inside, and the bytes that they hold.

    Args:
        limits: how many of both there may be.
    """

    def __init__(self, limits: ServiceLimits) -> None:
        self.limits = limits
        self.num_requests = 0
        self.bytes_held = 0

    @contextmanager
    def enter(self) -> Iterator[Body]:
        """One request inside; its body lives as long as the block.

        Raises:
            HTTPException: 503 when there are too many.
        """
        if self.num_requests >= self.limits.max_queue:
            raise busy(f"{self.num_requests} requests are waiting already, the limit; try again")
        self.num_requests += 1
        body = Body(self)
        try:
            yield body
        finally:
            self.num_requests -= 1
            self.bytes_held -= body.num_bytes


class Body:
    """The body of one request, counted while it comes in."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.num_bytes = 0

    async def read(self, request: Request) -> bytes:
        """All of it.

        Raises:
            HTTPException: 413 when it is, or says that it is, too large; 408 when it takes too long; 400 when it is
                broken off; 503 when the bodies of all requests are too much together.
        """
        limits = self._admission.limits
        if int(request.headers.get("content-length", "0")) > limits.max_body_bytes:  # The server let only digits in.
            raise too_large(limits)
        try:
            async with asyncio.timeout(limits.max_seconds):
                return await self._gather(request, limits)
        except TimeoutError:
            raise HTTPException(408, f"the body did not come within {limits.max_seconds:g} s; send it again") from None
        except ClientDisconnect:
            raise HTTPException(400, "the body was broken off; send it again") from None

    async def _gather(self, request: Request, limits: ServiceLimits) -> bytes:
        chunks: list[bytes] = []
        async for chunk in request.stream():
            # Counted before it is kept: Content-Length may be absent or a lie.
            if self.num_bytes + len(chunk) > limits.max_body_bytes:
                raise too_large(limits)
            if self._admission.bytes_held + len(chunk) > limits.max_bytes_held:
                raise busy("the requests that are inside hold as many bytes as are allowed; try again")
            self.num_bytes += len(chunk)
            self._admission.bytes_held += len(chunk)
            chunks.append(chunk)
        return b"".join(chunks)


def too_large(limits: ServiceLimits) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limits.max_body_bytes:,} bytes, the limit")


def busy(reason: str) -> HTTPException:
    """503, with the second after which to try again."""
    return HTTPException(503, reason, headers={"Retry-After": "1"})


class Linger:
    """ASGI middleware that ends an early answer well.

    When an answer is complete before its request is, closing at once would reset the connection, and the client would
    see a broken pipe instead of the reason. So the answer is sent, the rest of the request thrown away for a short
    while, and only then is the connection closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
        else:
            exchange = _Exchange(scope, receive, send)
            await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._received_all = False
        # Such a client sends nothing until it is asked to: it reads the answer first.
        self._client_waits = any(name == b"expect" for name, _ in scope["headers"])

    async def receive(self) -> Message:
        self._client_waits = False
        message = await self._receive()
        self._received_all = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._received_all:
            message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        ends = message["type"] == "http.response.body" and not message.get("more_body", False)
        if ends and not self._received_all and not self._client_waits:
            await self._send({**message, "more_body": True})
            await self._discard()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _discard(self) -> None:
        deadline = time.monotonic() + LINGER_SECONDS
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                # The clock as well: a fast client never makes `receive` wait, and a timeout needs a wait to strike.
                while not self._received_all and time.monotonic() < deadline:
                    await self.receive()
        except TimeoutError:
            return


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
