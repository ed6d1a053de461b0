"""Data by name or by path; `load_data` and `as_tf_dataset` are what other programs want of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinysight.data.source import load_data
    from tinysight.data.tf import as_tf_dataset

__all__ = ["as_tf_dataset", "load_data"]

# Imported on first use: one needs TensorFlow, and the other's imports are not needed for `tinysight --help`.
_HOMES = {"as_tf_dataset": "tinysight.data.tf", "load_data": "tinysight.data.source"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tinysight.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
