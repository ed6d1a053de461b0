"""What a run was made with: versions, machine, backend, command and time."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from datetime import UTC, datetime
from typing import Any

from tinysight.training.backend import list_devices

# Those that decide about a run's numbers.
PACKAGES = (
    "tinysight",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "jaxlib",
    "torch",
    "numpy",
    "onnxruntime",
    "scikit-learn",
)


def describe_environment(seed: int) -> dict[str, Any]:
    """Versions, machine, backend, devices, seed, command and starting time, as JSON values."""
    import keras

    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["tinysight", *sys.argv[1:]],
        "seed": seed,
        "backend": keras.backend.backend(),
        "devices": [f"{device.name}: {device.description}" for device in list_devices()],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
