"""What was measured on, and with which versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from typing import Any

from tinysight.training.backend import processor

PACKAGES = (
    "tinysight",
    "keras",
    "tensorflow-cpu",
    "tensorflow",
    "numpy",
    "onnxruntime",
    "jax",
    "jaxlib",
    "torch",
    "airbench",
)


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, system, date and versions, as JSON values."""
    return {
        "processor": processor(),
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def load() -> float | None:
    """Processes that wanted a core, on average over the last minute; None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
