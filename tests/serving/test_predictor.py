"""The ONNX predictor and the record that travels in the model file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import CLASS_NAMES, IMAGE_SHAPE, make_info, softmax_of, write_model

from tinysight.errors import InvalidValueError, ModelError
from tinysight.serving.model_info import METADATA_KEY, ModelInfo, from_json, to_json
from tinysight.serving.predictor import MANY_BATCHES, Predictor


def random_images(num_images: int, shape: tuple[int, int, int] = IMAGE_SHAPE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (num_images, *shape), dtype=np.uint8)


class TestModelInfo:
    def test_round_trip(self) -> None:
        info = make_info(class_names=("Katze", "鳥"), extra={"parameters": 12, "accuracy": 0.5})
        assert from_json(to_json(info)) == info

    def test_is_one_flat_json_object(self) -> None:
        value = json.loads(to_json(make_info(extra={"parameters": 12})))
        assert value["class_names"] == list(CLASS_NAMES)
        assert value["image_shape"] == list(IMAGE_SHAPE)
        assert value["parameters"] == 12
        assert "extra" not in value

    @pytest.mark.parametrize("key", ["class_names", "image_shape", "recipe", "created", "version"])
    def test_missing_field_is_named(self, key: str) -> None:
        value = json.loads(to_json(make_info()))
        del value[key]
        with pytest.raises(ModelError, match=f"lacks '{key}'"):
            from_json(json.dumps(value))

    @pytest.mark.parametrize(
        ("key", "wrong"),
        [
            ("class_names", []),
            ("class_names", "cat"),
            ("class_names", [1, 2]),
            ("image_shape", [8, 8]),
            ("image_shape", [8, 8, 4]),
            ("image_shape", [8, True, 3]),
            ("image_shape", [0, 8, 3]),
            ("recipe", None),
            ("version", 3),
        ],
    )
    def test_wrong_values_are_refused(self, key: str, wrong: object) -> None:
        value = json.loads(to_json(make_info())) | {key: wrong}
        with pytest.raises(ModelError, match="metadata"):
            from_json(json.dumps(value))

    @pytest.mark.parametrize("text", ["", "{", "[]", "7", "null"])
    def test_no_json_object(self, text: str) -> None:
        with pytest.raises(ModelError, match="JSON"):
            from_json(text)

    def test_a_file_of_before_has_one_view(self) -> None:
        values = json.loads(to_json(make_info()))
        del values["num_views"]
        assert from_json(json.dumps(values)) == make_info()

    @pytest.mark.parametrize("num_views", [0, -1, 1.5, "2", None, True])
    def test_views_are_counted(self, num_views: Any) -> None:
        values = json.loads(to_json(make_info())) | {"num_views": num_views}
        with pytest.raises(ModelError, match="views of an image; expected 1 or more"):
            from_json(json.dumps(values))

    def test_extra_may_not_shadow_a_field(self) -> None:
        with pytest.raises(ModelError, match="'recipe'"):
            to_json(make_info(extra={"recipe": "other"}))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(write_model(tmp_path_factory.mktemp("model") / "model.onnx"), num_threads=1)


class TestPredict:
    @pytest.mark.parametrize("num_images", [0, 1, 2, 7, 300])
    def test_equals_numpy(self, predictor: Predictor, num_images: int) -> None:
        images = random_images(num_images)
        result = predictor.predict(images)
        assert result.dtype == np.float32
        assert result.shape == (num_images, len(CLASS_NAMES))
        np.testing.assert_allclose(result, softmax_of(images, predictor.info), atol=1e-6)

    @pytest.mark.parametrize("batch_size", [1, 3, 10, 11])
    def test_batch_size_changes_nothing(self, predictor: Predictor, batch_size: int) -> None:
        images = random_images(10)
        np.testing.assert_allclose(predictor.predict(images, batch_size), predictor.predict(images), atol=1e-6)

    @pytest.mark.parametrize("num_threads", [1, 2, 3])
    def test_many_batches_on_several_threads(self, predictor: Predictor, num_threads: int) -> None:
        """Every image in its place, the last batch a smaller one."""
        several = Predictor(predictor.path, num_threads=num_threads)
        images = random_images(4 * MANY_BATCHES + 3)
        for _ in range(2):
            np.testing.assert_allclose(several.predict(images, 4), predictor.predict(images), atol=1e-6)

    def test_strided_images(self, predictor: Predictor) -> None:
        images = random_images(6)
        np.testing.assert_array_equal(predictor.predict(images[::2]), predictor.predict(images[::2].copy()))

    def test_info_comes_from_the_file(self, predictor: Predictor) -> None:
        assert predictor.info == make_info()

    @pytest.mark.parametrize(
        "images",
        [
            np.zeros((1, 8, 8, 3), np.float32),
            np.zeros((8, 8, 3), np.uint8),
            np.zeros((1, 8, 8, 1), np.uint8),
            np.zeros((1, 9, 8, 3), np.uint8),
            [[1]],
        ],
    )
    def test_wrong_images(self, predictor: Predictor, images: np.ndarray) -> None:
        with pytest.raises(InvalidValueError, match=r"expected uint8 of shape \(n, 8, 8, 3\)"):
            predictor.predict(images)

    @pytest.mark.parametrize(("num_views", "largest"), [(1, 32), (2, 32), (6, 10), (100, 1)])
    def test_views_of_all_images_of_a_batch_fit_into_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_views: int, largest: int
    ) -> None:
        several = Predictor(write_model(tmp_path / "model.onnx", make_info(num_views=num_views)), num_threads=1)
        sizes: list[int] = []

        def run(session: Any, images: np.ndarray) -> np.ndarray:
            sizes.append(len(images))
            return before(session, images)

        before = several._run
        monkeypatch.setattr(several, "_run", run)
        images = random_images(70)
        np.testing.assert_allclose(several.predict(images), softmax_of(images, several.info), atol=1e-6)
        assert (max(sizes), sum(sizes)) == (largest, 70)

    def test_wrong_batch_size(self, predictor: Predictor) -> None:
        with pytest.raises(InvalidValueError, match="batch size is 0"):
            predictor.predict(random_images(1), 0)


class TestModelFile:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no model at .*gone\.onnx"):
            Predictor(tmp_path / "gone.onnx")

    @pytest.mark.parametrize("content", [b"", b"hello", bytes(1000)])
    def test_no_onnx(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.onnx") as caught:
            Predictor(path)
        assert "\n" not in str(caught.value)

    def test_cut_off(self, tmp_path: Path) -> None:
        path = write_model(tmp_path / "model.onnx")
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(ModelError, match=r"model\.onnx"):
            Predictor(path)

    def test_without_metadata(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="has no metadata 'tinysight' with class names and image size"):
            Predictor(write_model(tmp_path / "model.onnx", metadata={}))

    def test_with_damaged_metadata(self, tmp_path: Path) -> None:
        path = write_model(tmp_path / "model.onnx", metadata={METADATA_KEY: '{"class_names": ["a"]}'})
        with pytest.raises(ModelError, match=r"model\.onnx.*lacks 'image_shape'"):
            Predictor(path)

    def test_classes_that_do_not_fit_the_graph(self, tmp_path: Path) -> None:
        path = write_model(tmp_path / "model.onnx", metadata={METADATA_KEY: to_json(make_info(class_names=("a", "b")))})
        with pytest.raises(ModelError, match="gives 4 scores, but its metadata names 2 classes"):
            Predictor(path)

    def test_shape_that_does_not_fit_the_graph(self, tmp_path: Path) -> None:
        path = write_model(tmp_path / "model.onnx", metadata={METADATA_KEY: to_json(make_info(image_shape=(9, 8, 3)))})
        with pytest.raises(ModelError, match=r"expected one uint8 input of shape \(batch, 9, 8, 3\)"):
            Predictor(path)

    def test_input_of_another_type(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"takes tensor\(float\)"):
            Predictor(write_model(tmp_path / "model.onnx", input_type=TensorProto.FLOAT))

    def test_fixed_batch(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"\[1, 8, 8, 3\]; expected"):
            Predictor(write_model(tmp_path / "model.onnx", input_shape=(1, 8, 8, 3)))

    def test_two_outputs(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="expected one float output"):
            Predictor(write_model(tmp_path / "model.onnx", num_outputs=2))


def test_info_needs_classes() -> None:
    with pytest.raises(ModelError, match="names no class"):
        ModelInfo(class_names=(), image_shape=(8, 8, 3), recipe="a", created="b", version="c")
