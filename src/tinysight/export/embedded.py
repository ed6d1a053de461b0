"""The model's record inside files that are, or end in, a zip archive: `.keras` and `.tflite`.

A LiteRT file may carry a zip archive behind its last byte: readers of the model stop before it, and every zip reader
finds it from the end. Source: "Adding metadata to LiteRT models", associated files,
https://ai.google.dev/edge/litert/models/metadata.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from tinysight.errors import ModelError
from tinysight.serving.model_info import ModelInfo, from_json, to_json

MEMBER = "tinysight.json"


def add_info(path: Path, info: ModelInfo) -> None:
    """Appends the record; the same model and record give the same bytes."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        # Without a date of its own a member gets 1980, the first that the format knows.
        archive.writestr(zipfile.ZipInfo(MEMBER), to_json(info))


def read_info(path: Path) -> ModelInfo:
    """The record that `add_info` wrote.

    Raises:
        ModelError: when the file has none.
    """
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if MEMBER in archive.namelist():
                return from_json(archive.read(MEMBER).decode())
    raise ModelError(f"'{path}' holds no {MEMBER} with class names and image size: export the run with Tinysight")
