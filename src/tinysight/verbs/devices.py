"""What there is to train on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any


def devices(device: str = "auto") -> list[dict[str, Any]]:
    """One record a processor or accelerator that the chosen backend sees; training uses the first GPU, or the one
    named, and the processor where there is none.

    Raises:
        TinysightError: when `device` does not exist here.
    """
    from tinysight.training.backend import choose_backend, list_devices

    choose_backend(device)
    return [asdict(found) for found in list_devices()]
