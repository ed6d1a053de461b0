"""Silence for native libraries, which print past Python's own streams and have no setting against it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_native_stderr() -> Iterator[None]:
    """Drops whatever goes to file descriptor 2 within the block, Python's own lines too; exceptions come through."""
    saved = _redirect_to_nowhere()
    try:
        yield
    finally:
        if saved is not None:
            os.dup2(saved, 2)
            os.close(saved)


def _redirect_to_nowhere() -> int | None:
    """What descriptor 2 was; None where there is none, as in a program without a console on Windows."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError):
        return None
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return saved
