"""What the service lets one client cost; docs/serving.md has the same table."""

from __future__ import annotations

from dataclasses import dataclass, fields

from tinysight.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True)
class ServiceLimits:
    """Past a limit a request is refused with a reason.

    Attributes:
        max_body_bytes: size of a request's body; 413 past it. What all requests hold at once is bounded as well, by
            `max_bytes_held`.
        max_pixels: width times height of one picture, read from its header before anything is decoded; 422 past it.
        max_images: pictures in one request; 422 past it.
        max_queue: requests inside at once, waiting or worked on; 503 past it.
        max_seconds: for receiving a body (408 past it), and again for answering it (503 past it).

    Raises:
        InvalidValueError: when one is not above 0.
    """

    max_body_bytes: int = 16 * 1024 * 1024
    max_pixels: int = 25_000_000
    max_images: int = 64
    max_queue: int = 128
    max_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise InvalidValueError(f"{field.name} is {getattr(self, field.name)}; expected more than 0")

    @property
    def max_bytes_held(self) -> int:
        """Bytes of bodies in memory at once, over all requests; 503 past it."""
        return 16 * self.max_body_bytes
