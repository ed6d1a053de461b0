"""ONNX Runtime, loaded so that it reports to nobody."""

from __future__ import annotations

import os
from typing import Any


def load_onnxruntime() -> Any:
    """The module `onnxruntime`; whoever imports it, or a part of it, calls this first.

    Its packages report their use to Microsoft (1.31 does), with an identifier that they keep in the person's cache
    folder, unless a variable is set before they are loaded. Who set it, to whatever, is left their choice.
    Source: `Privacy.md` in the package.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime
