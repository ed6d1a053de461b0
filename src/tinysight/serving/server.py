"""uvicorn around the application: its socket, its signals, its log."""

from __future__ import annotations

import ipaddress
import logging
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from tinysight.errors import InvalidValueError
from tinysight.serving.bodies import LINGER_SECONDS
from tinysight.serving.limits import ServiceLimits


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; clients that come before the service is up wait in its queue.

    Args:
        host: a name or address.
        port: 0 for any that is free.

    Raises:
        InvalidValueError: when the host is not known or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InvalidValueError(f"cannot listen on host '{host}': {error.strerror}; name another with --host") from None
    try:
        if sys.platform != "win32":  # There it would let two services share a port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise InvalidValueError(
            f"cannot listen on {host} port {port}: {error.strerror}; name another with --host or --port"
        ) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where the service on `listener` is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(listener.getsockname()[0].split("%")[0]).is_loopback


class _Server(uvicorn.Server):
    """A server for which SIGTERM is the ordinary way to end, with status 0; uvicorn's own raises it again."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The second signal, of an impatient person, ends at once.
        self.force_exit = self.should_exit
        self.should_exit = True


def run_until_stopped(
    app: FastAPI, listener: socket.socket, limits: ServiceLimits, on_ready: Callable[[], None]
) -> None:
    """Serves until SIGTERM or Ctrl-C, then answers the requests that are inside, and returns.

    Args:
        app: the service.
        listener: from `bind`.
        limits: what it was made with.
        on_ready: called once, when requests are answered and signals heeded.
    """
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.WARNING)
    # A damaged form is the client's affair, and clients must not be able to fill the log.
    for name in ("python_multipart", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # What a client in front says about the one behind it is used for nothing, so it is not looked at.
        proxy_headers=False,
        ws="none",
        # A request inside may receive for one span and be answered for another.
        timeout_graceful_shutdown=int(2 * limits.max_seconds + LINGER_SECONDS) + 1,
    )
    _Server(config, on_ready).run(sockets=[listener])
