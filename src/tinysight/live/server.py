"""Four files and a record over HTTP, on loopback alone: the standard library's server in threads that die with us.

The page asks for what is newer than it has, and the answer waits until there is news. Timers, which browsers slow down
in tabs that nobody looks at, have no part in it, so that the last news arrive there too.
"""

from __future__ import annotations

import errno
import os
import socketserver
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tinysight.errors import InvalidValueError
from tinysight.live.record import Record

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/chart.js": ("chart.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
# An answer without news, so that a connection through a proxy or a tunnel stays alive.
WAIT_SECONDS = 20.0
# How long the end waits for open pages to hear of it, and how long after the last answer all have.
LAST_WORDS_SECONDS, QUIET_SECONDS = 2.0, 0.3


class LiveServer:
    """Serves the page and its record until it is closed.

    Args:
        record: what the page shows.
        port: where; 0 for any port that is free.

    Raises:
        InvalidValueError: when the port is in use or not ours to take.
    """

    def __init__(self, record: Record, port: int = 0) -> None:
        self._server = _open(record, port)
        self.url = f"http://{HOST}:{self._server.server_address[1]}/"
        thread = threading.Thread(target=self._server.serve_forever, name="tinysight-live", daemon=True)
        thread.start()

    def close(self) -> None:
        """Ends it once open pages know the last record; nobody is waited for longer than two seconds."""
        server, deadline = self._server, time.monotonic() + LAST_WORDS_SECONDS
        while time.monotonic() < deadline and server.has_readers():
            time.sleep(0.02)
        server.shutdown()
        server.server_close()


def _open(record: Record, port: int) -> _Server:
    try:
        return _Server(record, port)
    except OSError as error:
        reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "may not be used"}
        reason = reasons.get(error.errno or 0, f"cannot be opened ({error.strerror})")
        raise InvalidValueError(
            f"--live {port}: port {port} {reason}; name another, or none for one that is free"
        ) from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # On Windows the option would let two programs share a port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, record: Record, port: int) -> None:
        self.record = record
        self.num_active, self.answered = 0, float("-inf")
        self.lock = threading.Lock()
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look up the machine's name, which without a network takes seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def has_readers(self) -> bool:
        """Whether a request is being answered, or one may follow that was just answered."""
        with self.lock:
            return self.num_active > 0 or time.monotonic() - self.answered < QUIET_SECONDS

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no news; anything else is a bug, which the training outlives."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Of a connection that says nothing, seconds.
    timeout = 60

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.num_active += 1
        try:
            self._answer()
        finally:
            with self.server.lock:
                self.server.num_active -= 1
                self.server.answered = time.monotonic()

    def _answer(self) -> None:
        # A page elsewhere can make a browser ask us under a name of its own, and read the answer.
        if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
            self._send(HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", b"this page answers on loopback alone\n")
            return
        address = urlsplit(self.path)
        if address.path == "/record":
            after = parse_qs(address.query).get("after", ["0"])[0]
            known = int(after) if after.isascii() and after.isdigit() else 0
            self._send(HTTPStatus.OK, "application/json", self.server.record.wait(known, WAIT_SECONDS))
        elif address.path in FILES:
            name, kind = FILES[address.path]
            self._send(HTTPStatus.OK, kind, (PAGE / name).read_bytes())
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"nothing here\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Requests are no news for whoever watches the training."""
