"""The service at its limits: too much at once, too slow, too large, and told to stop."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from onnx_models import write_model
from running import Running, pictures, receive_all, running

FILE = pictures()["colour.png"]
HEAD = "POST /predict HTTP/1.1\nHost: test\nContent-Type: image/png\n"
LENGTH = f"Content-Length: {len(FILE)}"

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM cannot be handled there")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="module")
def small(model: Path) -> Iterator[Running]:
    """A service with room for two requests and little patience."""
    with running(model, "--max-queue", 2, "--max-seconds", 3, "--max-body-bytes", 100_000) as ready:
        yield ready


class TestQueue:
    def test_past_the_queue_503_and_those_inside_are_answered(self, small: Running) -> None:
        inside = [small.raw(HEAD + LENGTH, FILE[:20]) for _ in range(2)]
        small.wait_for_metric("tinysight_requests_inside", 2)
        response = small.client.post("/predict", files={"images": FILE})
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert "2 requests are waiting already" in response.json()["detail"]
        assert small.client.get("/health").status_code == 200
        for connection in inside:
            connection.sendall(FILE[20:])
            assert receive_all(connection)[0] == 200
        assert small.client.post("/predict", files={"images": FILE}).status_code == 200

    def test_bodies_of_all_requests_together_are_bounded(self, model: Path) -> None:
        with running(model, "--max-body-bytes", 10_000) as service:
            # 16 bodies may be held; each of these is full but for a byte, and waits.
            head = HEAD + "Content-Length: 10000"
            inside = [service.raw(head, bytes(9_999)) for _ in range(16)]
            service.wait_for_metric("tinysight_requests_inside", 16)
            one_more = service.raw(head, bytes(9_999))
            status, headers, body = receive_all(one_more)
            assert (status, headers["retry-after"]) == (503, "1")
            assert b"hold as many bytes as are allowed" in body
            for connection in inside:
                connection.close()
            service.wait_for_metric("tinysight_requests_inside", 0)
            assert service.client.post("/predict", files={"images": FILE}).status_code == 200


class TestBodies:
    def test_too_slow(self, small: Running) -> None:
        # A Content-Length that promises more than ever comes is the same thing.
        status, _, body = receive_all(small.raw(HEAD + "Content-Length: 5000", FILE))
        assert status == 408
        assert b"did not come within 3 s" in body

    def test_length_past_the_limit_is_refused_before_the_body(self, small: Running) -> None:
        status, headers, body = receive_all(small.raw(HEAD + "Content-Length: 100000000\nExpect: 100-continue"))
        assert status == 413
        assert headers["connection"] == "close"
        assert b"larger than 100,000 bytes" in body

    @pytest.mark.parametrize("chunked", [False, True])
    def test_100_megabytes_are_not_kept(self, small: Running, chunked: bool) -> None:
        def body() -> Iterator[bytes]:
            for _ in range(1600):
                yield bytes(65_536)

        headers = {"Content-Type": "image/png"} | ({} if chunked else {"Content-Length": str(1600 * 65_536)})
        small.client.post("/predict", files={"images": FILE})
        before = self.memory(small)
        response = small.client.post("/predict", content=body(), headers=headers)
        assert response.status_code == 413
        assert "larger than 100,000 bytes" in response.json()["detail"]
        assert self.memory(small) - before < 30e6

    def memory(self, service: Running) -> float:
        return service.metric("process_resident_memory_bytes") if sys.platform == "linux" else 0.0

    def test_chunks_without_end_are_cut(self, small: Running) -> None:
        connection = small.raw(HEAD + "Transfer-Encoding: chunked")
        chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
        assert self.is_cut(connection, chunk)
        connection.close()
        assert small.client.get("/health").status_code == 200

    def is_cut(self, connection: socket.socket, chunk: bytes) -> bool:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            try:
                connection.sendall(chunk)
            except OSError:
                return True
        return False

    def test_chunked_bodies_work(self, small: Running) -> None:
        response = small.client.post(
            "/predict", content=iter([FILE[:10], FILE[10:]]), headers={"Content-Type": "image/png"}
        )
        assert response.status_code == 200

    def test_connections_that_break_off(self, small: Running) -> None:
        for _ in range(5):
            connection = small.raw(HEAD + LENGTH, FILE[:20])
            small.wait_for_metric("tinysight_requests_inside", 1)
            connection.close()
            small.wait_for_metric("tinysight_requests_inside", 0)
        assert small.client.post("/predict", files={"images": FILE}).status_code == 200

    @pytest.mark.parametrize(
        "head",
        [
            HEAD + "Content-Length: many",
            HEAD + "Content-Length: -5",
            HEAD + "Content-Length: 5\nContent-Length: 6",
            HEAD + "Transfer-Encoding: nonsense",
            "nonsense",
        ],
    )
    def test_http_that_is_none(self, small: Running, head: str) -> None:
        status, _, body = receive_all(small.raw(head, b"hello"))
        assert 400 <= status < 500 or status == 501
        assert b"Traceback" not in body


@needs_signals
class TestStopping:
    @pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
    def test_a_request_that_is_inside_is_answered(self, model: Path, sign: int) -> None:
        with running(model) as service:
            connection = service.raw(HEAD + LENGTH, FILE[:20])
            service.wait_for_metric("tinysight_requests_inside", 1)
            service.process.send_signal(sign)
            self.wait_until_closed(service)
            connection.sendall(FILE[20:])
            assert receive_all(connection)[0] == 200
            assert service.process.wait(20) == 0

    def wait_until_closed(self, service: Running) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(service.address, timeout=5).close()
            except OSError:
                return
            time.sleep(0.02)
        raise AssertionError("still listening")

    def test_under_load(self, model: Path) -> None:
        with running(model) as service, ThreadPoolExecutor(12) as pool:
            stop = threading.Event()
            answers: list[list[int]] = [[] for _ in range(12)]
            clients = [pool.submit(self.ask_until_closed, service.url, stop, each) for each in answers]
            try:
                deadline = time.monotonic() + 60
                while service.metric("tinysight_images_total") < 100 or not all(answers):
                    assert time.monotonic() < deadline
                service.process.send_signal(signal.SIGTERM)
                assert service.process.wait(20) == 0
            finally:
                stop.set()
            for client in clients:
                client.result()
            assert all(set(statuses) == {200} for statuses in answers)

    def ask_until_closed(self, url: str, stop: threading.Event, statuses: list[int]) -> None:
        with httpx.Client(base_url=url) as client:
            while not stop.is_set():
                try:
                    statuses.append(client.post("/predict", files={"images": FILE}).status_code)
                except httpx.TransportError:
                    break


def test_many_clients_at_once_get_what_a_lonely_one_gets(model: Path) -> None:
    names = list(pictures())
    with running(model) as service:

        def ask(name: str) -> dict[str, object]:
            response = service.client.post("/predict?top=4", content=pictures()[name], headers=IMAGE)
            answer: dict[str, object] = response.raise_for_status().json()
            return answer

        lonely = {name: ask(name) for name in names}
        with ThreadPoolExecutor(16) as pool:
            for name, answer in zip(names * 12, pool.map(ask, names * 12), strict=True):
                assert scores(answer) == pytest.approx(scores(lonely[name]), abs=1e-5)


IMAGE = {"Content-Type": "application/octet-stream"}


def scores(answer: dict[str, object]) -> dict[str, float]:
    (prediction,) = answer["predictions"]  # type: ignore[misc]
    return {entry["name"]: entry["score"] for entry in prediction["classes"]}
