"""What the live page shows, written by the training and read by requests, each in a thread of its own."""

from __future__ import annotations

import json
import threading
from typing import Any


class Record:
    """JSON values with a version that rises whenever they change.

    A value is replaced, never changed in place, so that a reader sees it whole.
    """

    def __init__(self, **values: Any) -> None:
        self._changed = threading.Condition()
        self._values = values
        self._version = 1

    def update(self, **values: Any) -> None:
        """Replaces the values of these names, and wakes whoever waits for news."""
        with self._changed:
            self._values = {**self._values, **values}
            self._version += 1
            self._changed.notify_all()

    def value(self, name: str) -> Any:
        """The value of one name, or None."""
        with self._changed:
            return self._values.get(name)

    def wait(self, after: int, seconds: float) -> bytes:
        """All values and their `version` as JSON, as soon as the version is not `after`, or when the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != after, timeout=seconds)
            values = {"version": self._version, **self._values}
        return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
