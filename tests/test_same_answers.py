"""One model, four ways to ask it: Python, the service, the page in a browser and LiteRT give the same answers."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import open_browser, visit
from odd_pictures import KINDS, Picture, odd_pictures
from running import running
from web_site import ask, static_host

from tinysight.pixels import decode_image
from tinysight.runs import Run
from tinysight.serving.model_info import ModelInfo

NUM_PICTURES = 1000
IMAGES_PER_REQUEST = 64
TOLERANCE = 1e-4
# Higher than wide, so that no two sides can be mistaken for each other.
IMAGE_SHAPE = (36, 30, 3)
CLASS_NAMES = ("cat", "dog", "fish", "zebra crossing", "horse")


@dataclass(frozen=True)
class Shipped:
    """A run without training, and its LiteRT file."""

    run: Run
    litert: Path


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory, keras_module: Any) -> Shipped:
    from keras import initializers, layers

    from tinysight.export.litert import write_litert
    from tinysight.export.onnx import write_onnx
    from tinysight.models.serving import serving_model

    def weights(seed: int) -> Any:
        # Large enough that every class comes first for some picture.
        return initializers.HeNormal(seed=seed)

    images = keras_module.Input(IMAGE_SHAPE)
    outputs = layers.Conv2D(8, 3, strides=2, activation="relu", kernel_initializer=weights(1))(images)
    outputs = layers.Conv2D(16, 3, strides=2, activation="relu", kernel_initializer=weights(2))(outputs)
    outputs = layers.Dense(len(CLASS_NAMES), kernel_initializer=weights(3))(layers.Flatten()(outputs))
    model = serving_model(keras_module.Model(images, outputs), "-1..1", IMAGE_SHAPE)
    run = Run(tmp_path_factory.mktemp("shipped") / "run")
    run.folder.mkdir()
    info = ModelInfo(class_names=CLASS_NAMES, image_shape=IMAGE_SHAPE, recipe="toy", created="2026-01-02", version="1")
    litert = run.folder / "model.tflite"
    write_litert(model, litert, info)
    write_onnx(model, run.onnx_model, info)
    return Shipped(run, litert)


def in_class_order(answers: list[dict[str, Any]]) -> np.ndarray:
    """Scores of lists of `{"name", "score"}`: float64, shape (n, classes)."""
    tables = [{entry["name"]: entry["score"] for entry in answer["classes"]} for answer in answers]
    return np.array([[table[name] for name in CLASS_NAMES] for table in tables])


def by_python(shipped: Shipped, pictures: list[Picture], folder: Path) -> np.ndarray:
    from tinysight.verbs.predict import predict_files

    for picture in pictures:
        (folder / picture.name).write_bytes(picture.data)
    paths = [folder / picture.name for picture in pictures]
    return in_class_order(list(predict_files(shipped.run.onnx_model, paths, top=len(CLASS_NAMES))))


def by_service(shipped: Shipped, pictures: list[Picture]) -> np.ndarray:
    answers: list[dict[str, Any]] = []
    with running(shipped.run.onnx_model) as service:
        for number, start in enumerate(range(0, len(pictures), IMAGES_PER_REQUEST)):
            files = [picture.data for picture in pictures[start : start + IMAGES_PER_REQUEST]]
            # Forms and JSON in turn.
            form: dict[str, Any] = {"files": [("images", file) for file in files]}
            if number % 2:
                form = {"json": {"images": [base64.b64encode(file).decode() for file in files]}}
            response = service.client.post("/predict", params={"top": len(CLASS_NAMES)}, **form)
            answers += response.raise_for_status().json()["predictions"]
    return in_class_order(answers)


def by_page(shipped: Shipped, pictures: list[Picture], folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Scores, and the pixels that the page took for the model's input."""
    from tinysight.export.web import write_web

    site = write_web(shipped.run, folder / "site").parent
    with open_browser() as browser, static_host(site) as (_, url), visit(browser, url) as page:
        page.wait_for_model()
        answers = ask(page, [picture.data for picture in pictures])
    refused = [(each.name, answer) for each, answer in zip(pictures, answers, strict=True) if "refused" in answer]
    assert refused == []
    return np.array([answer["scores"] for answer in answers]), [answer["pixels"] for answer in answers]


def by_litert(shipped: Shipped, images: np.ndarray) -> np.ndarray:
    from tinysight.export.litert_model import LiteRTModel

    return LiteRTModel(shipped.litert).predict(images, batch_size=len(images))


@pytest.mark.browser
def test_python_service_page_and_litert(shipped: Shipped, tmp_path: Path) -> None:
    """On 1,000 pictures of every kind in docs/images.md: grey, palettes, alpha, turned, four inks, 16 bits, 1x1."""
    pictures = list(odd_pictures(NUM_PICTURES))
    images = np.stack([decode_image(picture.data, IMAGE_SHAPE) for picture in pictures])
    expected = by_python(shipped, pictures, tmp_path)
    from_page, pixels = by_page(shipped, pictures, tmp_path)

    assert min(Counter(picture.name.rpartition("-")[0] for picture in pictures).values()) >= NUM_PICTURES // len(KINDS)
    assert np.bincount(expected.argmax(axis=1), minlength=len(CLASS_NAMES)).min() >= 10
    for picture, image, came in zip(pictures, images, pixels, strict=True):
        np.testing.assert_array_equal(came, image.ravel(), err_msg=picture.name)
    second, first = np.sort(expected, axis=1)[:, -2:].T
    answers = {"service": by_service(shipped, pictures), "page": from_page, "LiteRT": by_litert(shipped, images)}
    for name, scores in answers.items():
        far = np.abs(scores - expected).max(axis=1)
        assert far.max() <= TOLERANCE, (name, pictures[int(far.argmax())].name)
        other = (scores.argmax(axis=1) != expected.argmax(axis=1)) & (first - second > 2 * TOLERANCE)
        assert not other.any(), (name, [pictures[place].name for place in np.flatnonzero(other)])
