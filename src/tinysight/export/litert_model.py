"""A LiteRT file, ready to classify: raw pixels in, probabilities out, without TensorFlow."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import ModelError
from tinysight.export.embedded import read_info
from tinysight.native_output import without_native_stderr


def require_litert() -> None:
    """Raises ModelError when the runtime is not installed, without which a LiteRT file cannot be checked."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ModelError(
            "LiteRT files are run and checked with ai-edge-litert, which is not installed:"
            " pip install 'tinysight[litert]'"
        )


class LiteRTModel:
    """A `.tflite` file that Tinysight wrote.

    Args:
        path: the file.
        num_threads: threads within one operation.

    Attributes:
        path: where the file lies.
        info: what the file says about itself.

    Raises:
        ModelError: when the runtime is not installed, or the file has no record, is no LiteRT model, or does not take
            raw pixels in batches of any size.
    """

    def __init__(self, path: Path, *, num_threads: int = 1) -> None:
        require_litert()
        from ai_edge_litert.interpreter import Interpreter

        self.path, self.info = path, read_info(path)
        try:
            # The runtime announces its delegate there.
            with without_native_stderr():
                self._interpreter = Interpreter(model_path=str(path), num_threads=num_threads)
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"'{path}' cannot be read as LiteRT: {' '.join(str(error).split())[:200]}") from None
        self._input, self._output = _only_ends(self._interpreter, path)
        self._batch_size = 0

    def predict(self, images: NDArray[np.uint8], batch_size: int | None = None) -> NDArray[np.float32]:
        """Probabilities of every class.

        Args:
            images: uint8, shape (n, height, width, channels), raw pixels 0..255.
            batch_size: how many go through the model at once; None for 256, shared by the views of an image.

        Returns:
            float32, shape (n, classes).

        Raises:
            ModelError: when the runtime cannot prepare or run the graph.
        """
        batch_size = max(1, 256 // self.info.num_views) if batch_size is None else batch_size
        results = [self._run(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
        return np.concatenate(results) if results else np.empty((0, self.info.num_classes), np.float32)

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            if len(batch) != self._batch_size:
                self._resize(batch.shape)
            self._interpreter.set_tensor(self._input, np.ascontiguousarray(batch))
            self._interpreter.invoke()
        except RuntimeError as error:
            raise ModelError(
                f"'{self.path.name}' cannot be run by LiteRT: {' '.join(str(error).split())[:200]}"
            ) from None
        return np.asarray(self._interpreter.get_tensor(self._output), np.float32)

    def _resize(self, shape: tuple[int, ...]) -> None:
        with without_native_stderr():
            self._interpreter.resize_tensor_input(self._input, shape)
            self._interpreter.allocate_tensors()
        self._batch_size = shape[0]


def _only_ends(interpreter: Any, path: Path) -> tuple[int, int]:
    """The numbers of the input and the output tensor."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0]["dtype"] is not np.uint8:
        kinds = ", ".join(detail["dtype"].__name__ for detail in inputs)
        raise ModelError(
            f"'{path}' takes {kinds} and gives {len(outputs)} outputs; expected one uint8 input, one output"
        )
    if int(inputs[0]["shape_signature"][0]) != -1:
        raise ModelError(f"'{path}' takes batches of {inputs[0]['shape_signature'][0]} images only; expected any size")
    return int(inputs[0]["index"]), int(outputs[0]["index"])
