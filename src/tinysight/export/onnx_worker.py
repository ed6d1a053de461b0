"""Converts a Keras model in a process of TensorFlow's own: `python -m tinysight.export.onnx_worker IN OUT`."""

from __future__ import annotations

import sys
from pathlib import Path

from tinysight.errors import TinysightError


def main(source: str, target: str) -> int:
    from tinysight.training.backend import choose_backend

    choose_backend("cpu")
    from tinysight.export.onnx import convert_here
    from tinysight.models.saving import load_keras_file

    try:
        convert_here(load_keras_file(Path(source)), Path(target))
    except TinysightError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
