"""A real HTTP server on loopback that understands Range, and that misbehaves when told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Server:
    """What a loopback server serves, how each path misbehaves, and what it was asked."""

    url: str
    content: dict[str, bytes] = field(default_factory=dict)
    behaviour: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def put(self, path: str, content: bytes, behaviour: str = "good") -> str:
        self.content[path], self.behaviour[path] = content, behaviour
        return f"{self.url}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state: Server = self.server.state  # type: ignore[attr-defined]
        wanted = self.headers.get("Range")
        state.requests.append((self.path, wanted))
        self.close_connection = True
        behaviour = state.behaviour.get(self.path, "404")
        if behaviour.isdigit():
            self.send_error(int(behaviour))
            return
        content = state.content[self.path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and behaviour != "no-range" else 0
        body, length = content[start:], len(content) - start
        if behaviour in ("cut", "no-range") and len(state.requests) < 4:
            body = body[: len(body) // 2]
        elif behaviour == "longer":
            length += 1000
        elif behaviour == "endless":
            body, length = content * 3, -1
        elif behaviour == "stuck":
            body = body[:100] if start == 0 else b""
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if length >= 0:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_server() -> Iterator[Server]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    state = Server(url=f"http://127.0.0.1:{http.server_port}")
    http.state = state  # type: ignore[attr-defined]
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
