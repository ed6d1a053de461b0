"""One file over HTTP: resumed after a cut, from several addresses in turn, and verified before anyone sees it.

pooch does the download, the digest check and the move into place, but it starts anew after a cut (pooch 1.9), so it is
given a downloader that goes on with HTTP Range.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tinysight.errors import DataUnavailableError
from tinysight.files import digest

if TYPE_CHECKING:
    from requests import Response

# A machine without a network is told so within seconds: the default data set is tried before it is replaced.
CONNECT_SECONDS, SILENCE_SECONDS = 3, 30
MAX_CUTS, PAUSE_SECONDS = 20, 0.5
_CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that can be downloaded.

    Attributes:
        name: what it is called on disk.
        urls: addresses that all serve the same bytes, tried in this order.
        size: bytes.
        md5: hexadecimal.
        sha256: hexadecimal, or empty where none is recorded.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    md5: str
    sha256: str = ""


class _TransferError(Exception):
    """One address did not do; the text says why."""


class _CutError(_TransferError):
    """The connection broke; what came so far is kept."""


class _ChecksumError(_TransferError):
    """Everything came, but it is not the file."""


def download(file: RemoteFile, folder: Path) -> Path:
    """Brings `file` into `folder`, verified.

    What a broken transfer leaves is kept as NAME.part and gone on with, now and in the next call.

    Raises:
        DataUnavailableError: when no address serves the file; the text has one reason for each.
        OSError: when it cannot be written.
    """
    part = folder / f"{file.name}.part"
    failures = []
    for url in file.urls:
        try:
            return _from_address(file, url, part)
        except _TransferError as error:
            failures.append(f"{urlsplit(url).netloc}: {error}")
    raise DataUnavailableError(f"cannot download {file.name} ({'; '.join(failures)})")


def _from_address(file: RemoteFile, url: str, part: Path) -> Path:
    was_begun = part.is_file()
    try:
        return _retrieve(file, url, part)
    except _ChecksumError:
        if not was_begun:
            raise
    # The bad bytes may be those of an earlier address: once more, from the start.
    return _retrieve(file, url, part)


def _retrieve(file: RemoteFile, url: str, part: Path) -> Path:
    import pooch

    known_hash = f"sha256:{file.sha256}" if file.sha256 else f"md5:{file.md5}"
    with _silenced(pooch.get_logger()):
        try:
            path = pooch.retrieve(
                url, known_hash, fname=file.name, path=part.parent, downloader=_ResumingDownloader(file, part)
            )
        except ValueError:
            # pooch removed what came; its own message spans several lines.
            raise _ChecksumError(f"sent a file whose {known_hash.split(':')[0]} is wrong") from None
    return Path(path)


@contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _ResumingDownloader:
    """What pooch calls to fill `output_file`: goes on with `part`, and with it again after every cut."""

    def __init__(self, file: RemoteFile, part: Path) -> None:
        self.file, self.part = file, part

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        self._receive_all(url)
        came = digest(self.part, "md5")
        if came != self.file.md5:
            self.part.unlink()
            raise _ChecksumError(f"sent a file with md5 {came}; expected {self.file.md5}")
        self.part.replace(output_file)

    def _receive_all(self, url: str) -> None:
        for _ in range(MAX_CUTS):
            before = self._num_received()
            if before == self.file.size:
                return
            try:
                self._receive(url, before)
            except _CutError:
                if self._num_received() <= before:
                    raise
                time.sleep(PAUSE_SECONDS)
        if self._num_received() != self.file.size:
            raise _CutError(f"cut the connection {MAX_CUTS} times")

    def _num_received(self) -> int:
        if not self.part.is_file():
            return 0
        size = self.part.stat().st_size
        if size > self.file.size:
            self.part.unlink()
            return 0
        return size

    def _receive(self, url: str, start: int) -> None:
        import requests
        from urllib3.exceptions import HTTPError

        # "identity": a body that is compressed on the way would not have the digest of the file.
        headers = {"Accept-Encoding": "identity", "User-Agent": "tinysight"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)
            ) as response:
                self._write(response, self._accepted_start(response, start))
        except (requests.RequestException, HTTPError) as error:
            raise _CutError(_reason(error)) from None

    def _accepted_start(self, response: Response, start: int) -> int:
        """Where the body belongs in the file: a server may ignore the range and send everything."""
        status = response.status_code
        if status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            accepted = start
        elif status == 200:
            accepted = 0
        else:
            raise _TransferError(f"answered {status} {response.reason}".rstrip())
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and accepted + int(length) != self.file.size:
            raise _TransferError(f"offers {accepted + int(length)} bytes; expected {self.file.size}")
        return accepted

    def _write(self, response: Response, start: int) -> None:
        num_received = start
        with self.part.open("ab" if start else "wb") as out, _progress(self.file, start, response.url) as advance:
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                num_received += len(chunk)
                if num_received > self.file.size:
                    raise _TransferError(f"sent more than the expected {self.file.size} bytes")
                out.write(chunk)
                advance(len(chunk))
        if num_received < self.file.size:
            raise _CutError(f"sent {num_received} of {self.file.size} bytes")


def _reason(error: Exception) -> str:
    """A few words for the failures that people meet; requests' own texts run over several lines."""
    words = {
        "NameResolutionError": "the host name is not found",
        "ConnectTimeoutError": f"no answer within {CONNECT_SECONDS} s",
        "NewConnectionError": "the connection is refused",
        "ReadTimeoutError": f"no data for {SILENCE_SECONDS} s",
        "ProxyError": "the proxy does not answer",
        "SSLError": "TLS fails",
        "IncompleteRead": "the connection broke",
        "ProtocolError": "the connection broke",
    }
    for name in _cause_names(error):
        if name in words:
            return words[name]
    return type(error).__name__


def _cause_names(error: Any) -> Iterator[str]:
    """The class names of an error and of what it wraps: requests puts it in args[0], urllib3 in `reason`."""
    while isinstance(error, Exception):
        yield type(error).__name__
        error = getattr(error, "reason", None) or (error.args[0] if error.args else None)


@contextmanager
def _progress(file: RemoteFile, start: int, url: str) -> Iterator[Any]:
    """Yields a function that is told of received bytes: a bar on a terminal, else a line at each end."""
    if not sys.stderr.isatty():
        gone_on = f", going on at {start:,}" if start else ""
        print(f"fetching {file.name} ({file.size:,} bytes) from {urlsplit(url).netloc}{gone_on}", file=sys.stderr)
        yield lambda _: None
        print(f"fetched {file.name}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(file.name, total=file.size, completed=start)
        yield lambda num_bytes: bar.advance(task, num_bytes)
