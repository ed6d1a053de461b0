"""The formats that a run can be exported to."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from tinysight.errors import InvalidValueError, UnknownNameError

# Format -> what people call it.
TITLES = {
    "onnx": "ONNX",
    "litert": "LiteRT",
    "saved-model": "SavedModel",
    "keras": "Keras file",
    "web": "web page",
}
QUANTIZED = ("onnx", "litert")
QUANTIZATIONS = ("int8",)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One file to make: a format, and "int8" where it is to be quantized."""

    format: str
    quantize: str | None = None

    @property
    def title(self) -> str:
        """As in "LiteRT int8"."""
        return " ".join(filter(None, [TITLES[self.format], self.quantize]))


def format_names() -> list[str]:
    """The formats that there is a writer for; `web` once `export/web.py` has its `write_web(run, folder)`."""
    has_web = importlib.util.find_spec("tinysight.export.web") is not None
    return [name for name in TITLES if name != "web" or has_web]


def wanted_formats(names: Iterable[str], quantize: str | None) -> list[Wanted]:
    """What was asked for, each once.

    Raises:
        UnknownNameError: for a format or quantization that does not exist.
        InvalidValueError: for a format that cannot be quantized, or none at all.
    """
    asked = list(dict.fromkeys(names))
    for name in asked:
        if name not in format_names():
            raise UnknownNameError("format", name, format_names())
        if quantize is not None and name not in QUANTIZED:
            raise InvalidValueError(
                f"--quantize {quantize} is for {' and '.join(QUANTIZED)}, not for {name}: export {name} by itself"
            )
    if quantize is not None and quantize not in QUANTIZATIONS:
        raise UnknownNameError("quantization", quantize, QUANTIZATIONS)
    if not asked:
        raise InvalidValueError(f"no format came; expected --format and one of {', '.join(format_names())}")
    return [Wanted(format=name, quantize=quantize) for name in asked]
