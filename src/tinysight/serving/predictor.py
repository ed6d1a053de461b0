"""An ONNX model and its metadata: raw pixels in, probabilities out, without HTTP and without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.cores import num_cores
from tinysight.errors import InvalidValueError, ModelError
from tinysight.onnx_runtime import load_onnxruntime
from tinysight.runs import open_run
from tinysight.serving.model_info import METADATA_KEY, ModelInfo, from_json

# From so many batches on, each core takes whole batches: a fifth to a half more images a second than sharing each one.
# Below, a second session would cost more than it gains.
MANY_BATCHES = 8
# All views of an image lie in memory together: six of 32 images were 0.4 GB on two threads with `cifar10-94`, and ten
# images at once are as quick.
VIEWS_AT_ONCE = 64


class Predictor:
    """A model file, ready to classify.

    Args:
        path: an ONNX file that Tinysight wrote.
        num_threads: threads that compute; 0 for one per core.

    Attributes:
        path: where the file lies.
        info: what the file says about itself.
        images_at_once: 32 images, or fewer of a model that averages over many views of an image.

    Raises:
        ModelError: when the file is missing, is no ONNX, has no metadata, or its graph does not fit its metadata.
    """

    def __init__(self, path: str | Path, *, num_threads: int = 0) -> None:
        self.path, self.num_threads = Path(path), num_threads or num_cores()
        self._session = _open_session(self.path, num_threads)
        self._one_thread: Any = None
        self.info = _read_info(self._session, self.path)
        self.images_at_once = max(1, min(32, VIEWS_AT_ONCE // self.info.num_views))
        self._input_name = _check_input(self._session, self.info, self.path)
        self._output_name = _check_output(self._session, self.info, self.path)

    def predict(self, images: NDArray[np.uint8], batch_size: int | None = None) -> NDArray[np.float32]:
        """Probabilities of every class.

        Args:
            images: uint8, shape (n, height, width, channels) as in `info.image_shape`, raw pixels 0..255.
            batch_size: how many go through the model at once; None for `images_at_once`.

        Returns:
            float32, shape (n, classes); each row sums to 1.

        Raises:
            InvalidValueError: when `images` is of another type or shape, or `batch_size` is below 1.
            ModelError: when the model gives something else than one finite score per class.
        """
        batch_size = self.images_at_once if batch_size is None else batch_size
        self._check_images(images, batch_size)
        result = np.empty((len(images), self.info.num_classes), np.float32)
        starts = range(0, len(images), batch_size)

        def run(session: Any, start: int) -> None:
            result[start : start + batch_size] = self._run(session, images[start : start + batch_size])

        if self.num_threads > 1 and len(starts) >= MANY_BATCHES:
            # A session may be run by several threads at once.
            session = self._one_thread = self._one_thread or _open_session(self.path, 1)
            with ThreadPoolExecutor(self.num_threads) as pool:
                list(pool.map(lambda start: run(session, start), starts))
        else:
            for start in starts:
                run(self._session, start)
        if not np.isfinite(result).all():
            raise ModelError(f"{self.path}: the model gave NaN or infinity as a probability; train it again")
        return result

    def _run(self, session: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores: NDArray[np.float32]
        (scores,) = session.run([self._output_name], {self._input_name: np.ascontiguousarray(images)})
        if scores.shape != (len(images), self.info.num_classes):
            raise ModelError(
                f"{self.path}: the model gave shape {scores.shape} for {len(images)} images;"
                f" expected ({len(images)}, {self.info.num_classes}), one score per class in its metadata"
            )
        return scores

    def _check_images(self, images: NDArray[np.uint8], batch_size: int) -> None:
        expected = ", ".join(map(str, self.info.image_shape))
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != self.info.image_shape:
            came = (
                f"{images.dtype} of shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
            )
            raise InvalidValueError(f"images are {came}; expected uint8 of shape (n, {expected}), raw pixels 0..255")
        if batch_size < 1:
            raise InvalidValueError(f"batch size is {batch_size}; expected 1 or more")


def top_classes(scores: NDArray[np.float32], class_names: Sequence[str], top: int) -> list[list[dict[str, Any]]]:
    """The best classes of each image, best first, as `{"name", "score"}`; of equal ones the earlier class comes first.

    Args:
        scores: float32, shape (n, classes).
        class_names: one name per score.
        top: how many; all when there are fewer.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    best = np.take_along_axis(scores, order, axis=1).tolist()
    return [
        [{"name": class_names[index], "score": score} for index, score in zip(*row, strict=True)]
        for row in zip(order.tolist(), best, strict=True)
    ]


def load_predictor(model_path: str | Path, *, num_threads: int = 0) -> Predictor:
    """The predictor of a run folder or of an ONNX file.

    Raises:
        RunError, ModelError: when `model_path` holds no usable model.
    """
    path = Path(model_path)
    if path.suffix.lower() != ".onnx":
        path = open_run(path).onnx_model
        if not path.is_file():
            raise ModelError(f"the run '{model_path}' has no {path.name}, which predicting needs: train it again")
    return Predictor(path, num_threads=num_threads)


def _open_session(path: Path, num_threads: int) -> Any:
    if not path.is_file():
        raise ModelError(f"no model at '{path}': expected an ONNX file, as model.onnx in a run folder")
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the processor from decoding; a lone image is no slower without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # 3 is "errors": warnings about the machine say nothing to a person with a picture.
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common base below this one.
        reason = " ".join(str(error).split())
        raise ModelError(f"'{path}' cannot be read as ONNX: {reason}") from None


def _read_info(session: Any, path: Path) -> ModelInfo:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"'{path}' has no metadata '{METADATA_KEY}' with class names and image size: it was not written by"
            " Tinysight; export the run with `tinysight export`"
        )
    try:
        return from_json(metadata[METADATA_KEY])
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from None


def _check_input(session: Any, info: ModelInfo, path: Path) -> str:
    inputs = session.get_inputs()
    expected = f"one uint8 input of shape (batch, {', '.join(map(str, info.image_shape))})"
    if len(inputs) != 1:
        raise ModelError(f"'{path}' has {len(inputs)} inputs; expected {expected}")
    (only,) = inputs
    # A free dimension has a name or None where a fixed one has a number.
    fits = len(only.shape) == 4 and not isinstance(only.shape[0], int)
    fits = fits and all(not isinstance(a, int) or a == b for a, b in zip(only.shape[1:], info.image_shape, strict=True))
    if only.type != "tensor(uint8)" or not fits:
        raise ModelError(f"'{path}' takes {only.type} of shape {only.shape}; expected {expected}")
    return str(only.name)


def _check_output(session: Any, info: ModelInfo, path: Path) -> str:
    outputs = session.get_outputs()
    if len(outputs) != 1 or outputs[0].type != "tensor(float)":
        given = ", ".join(output.type for output in outputs)
        raise ModelError(f"'{path}' gives {given}; expected one float output of shape (batch, {info.num_classes})")
    num_scores = outputs[0].shape[-1]
    if isinstance(num_scores, int) and num_scores != info.num_classes:
        raise ModelError(
            f"'{path}' gives {num_scores} scores, but its metadata names {info.num_classes} classes; expected one each"
        )
    return str(outputs[0].name)
