"""API keys: read from a file, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from tinysight.errors import InvalidValueError


def read_keys(path: str | Path) -> tuple[str, ...]:
    """The keys in a text file, one a line; empty lines and those that begin with # do not count.

    Raises:
        InvalidValueError: when the file cannot be read, holds no key, or one that no HTTP header can carry.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise InvalidValueError(f"the API key file '{path}' cannot be read: {reason}") from None
    keys = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not keys:
        raise InvalidValueError(f"the API key file '{path}' holds no key; write one a line")
    for number, key in enumerate(keys, start=1):
        if not key.isascii() or not key.isprintable() or " " in key:
            raise InvalidValueError(f"key {number} in '{path}' has a blank or a letter beyond ASCII; choose another")
    return keys


def is_known(given: str, keys: Sequence[str]) -> bool:
    """Whether `given` is one of the keys; takes as long for a wrong one as for a right one."""
    # Digests are of one length, so that not even the length of a key shows; and every key is compared.
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
    matches = [hmac.compare_digest(digest, hashlib.sha256(key.encode()).digest()) for key in keys]
    return any(matches)
