"""Saved models load without running code, and what would need code is refused with the reason."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from whole_commands import Trained

from tinysight.errors import ModelError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def saving(keras_module: Any) -> Any:
    from tinysight.models import saving

    return saving


def small_net(keras: Any, *further: Any) -> Any:
    return keras.Sequential(
        [keras.Input((8, 8, 3)), *further, keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")]
    )


class TestFinishedRun:
    def test_the_keras_model_takes_raw_pixels_and_agrees_with_onnx(self, trained: Trained, saving: Any) -> None:
        from tinysight.serving.predictor import Predictor

        pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28, 1)).astype(np.uint8)
        model = saving.load_model(trained.run.folder)
        expected = Predictor(trained.run.onnx_model).predict(pixels)
        np.testing.assert_allclose(model.predict(pixels, verbose=0), expected, atol=1e-4)
        np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)

    def test_the_pair_is_the_net_alone(self, trained: Trained, saving: Any) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28, 1)).astype(np.uint8)
        whole, net = saving.load_model(trained.run.keras_model), saving.load_model(trained.run.architecture_json)
        scaled = pixels.astype(np.float32) / 255
        np.testing.assert_allclose(net.predict(scaled, verbose=0), whole.predict(pixels, verbose=0), atol=1e-6)

    def test_nothing_of_the_training_is_saved(self, trained: Trained, saving: Any) -> None:
        model = saving.load_model(trained.run.folder)
        assert not model.compiled
        assert "augmentation" not in model.to_json()


def test_round_trip(saving: Any, keras_module: Any, tmp_path: Path) -> None:
    net = small_net(keras_module)
    saving.save_keras_file(net, tmp_path / "a.keras")
    saving.save_pair(net, tmp_path / "architecture.json", tmp_path / "model.weights.h5")
    expected = net.predict(IMAGES, verbose=0)
    for name in ("a.keras", "architecture.json"):
        np.testing.assert_array_equal(saving.load_model(tmp_path / name).predict(IMAGES, verbose=0), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "architecture.json", "model.weights.h5"]


class TestRefused:
    def test_lambda(self, saving: Any, keras_module: Any, tmp_path: Path) -> None:
        net = small_net(keras_module, keras_module.layers.Lambda(lambda x: x * 2))
        net.save(tmp_path / "a.keras")
        with pytest.raises(ModelError, match="would have to run code that came with the file, which is refused"):
            saving.load_model(tmp_path / "a.keras")

    def test_lambda_in_json(self, saving: Any, keras_module: Any, tmp_path: Path) -> None:
        net = small_net(keras_module, keras_module.layers.Lambda(lambda x: x * 2))
        saving.save_pair(net, tmp_path / "architecture.json", tmp_path / "model.weights.h5")
        with pytest.raises(ModelError, match="would have to run code that came with the file, which is refused"):
            saving.load_model(tmp_path / "architecture.json")

    def test_a_class_of_ones_own(self, saving: Any, keras_module: Any, tmp_path: Path) -> None:
        class Twice(keras_module.layers.Layer):  # type: ignore[misc,name-defined]
            def call(self, inputs: Any) -> Any:
                return inputs * 2

        small_net(keras_module, Twice()).save(tmp_path / "a.keras")
        with pytest.raises(ModelError, match="'Twice' is no part of Keras or Tinysight") as error:
            saving.load_model(tmp_path / "a.keras")
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("kind", ["class", "function"])
    def test_a_file_that_names_a_module_imports_nothing(
        self, kind: str, saving: Any, keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "evil.py").write_text("raise SystemExit('it ran')", encoding="utf-8")
        small_net(keras_module, keras_module.layers.Activation("relu")).save(tmp_path / "a.keras")
        with zipfile.ZipFile(tmp_path / "a.keras") as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(members["config.json"])
        layer = config["config"]["layers"][1]
        assert layer["class_name"] == "Activation"
        if kind == "class":
            layer.update(module="evil", class_name="Evil", registered_name="evil>Evil")
        else:
            layer["config"]["activation"] = {
                "module": "evil", "class_name": "function", "config": "run", "registered_name": "run",
            }  # fmt: skip
        members["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(ModelError, match="cannot load"):
            saving.load_model(tmp_path / "b.keras")

    @pytest.mark.parametrize("name", ["a.h5", "a.hdf5"])
    def test_legacy_hdf5(self, name: str, saving: Any, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
        with pytest.raises(
            ModelError, match=r"legacy HDF5 model, for which Keras has no safe mode; save it as \.keras"
        ):
            saving.load_model(tmp_path / name)

    def test_hdf5_under_another_name(self, saving: Any, tmp_path: Path) -> None:
        (tmp_path / "a.keras").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        with pytest.raises(ModelError, match="is no Keras model file"):
            saving.load_model(tmp_path / "a.keras")


class TestDamaged:
    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_truncated(self, share: float, saving: Any, keras_module: Any, tmp_path: Path) -> None:
        path = saving.save_keras_file(small_net(keras_module), tmp_path / "a.keras")
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ModelError, match="perhaps it is cut off"):
            saving.load_model(path)

    def test_a_zip_of_something_else(self, saving: Any, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
            archive.writestr("a.txt", "hello")
        with pytest.raises(ModelError, match="cannot load"):
            saving.load_model(tmp_path / "a.keras")

    def test_missing(self, saving: Any, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "gone.keras"):
            with pytest.raises(ModelError, match=r"no model at .*: expected a \.keras file or a run folder"):
                saving.load_model(path)

    def test_json_without_weights(self, saving: Any, tmp_path: Path) -> None:
        (tmp_path / "architecture.json").write_text("{}", encoding="utf-8")
        with pytest.raises(ModelError, match=r"no file .*model\.weights\.h5"):
            saving.load_model(tmp_path / "architecture.json")

    @pytest.mark.parametrize("text", [b"{", b"{}", b"[1]", b"\xff"])
    def test_json_that_is_no_model(self, text: bytes, saving: Any, tmp_path: Path) -> None:
        (tmp_path / "architecture.json").write_bytes(text)
        (tmp_path / "model.weights.h5").write_bytes(b"")
        with pytest.raises(ModelError, match="cannot load"):
            saving.load_model(tmp_path / "architecture.json")

    def test_weights_of_another_net(self, saving: Any, keras_module: Any, tmp_path: Path) -> None:
        saving.save_pair(small_net(keras_module), tmp_path / "architecture.json", tmp_path / "model.weights.h5")
        other = small_net(keras_module, keras_module.layers.Conv2D(2, 3))
        other.save_weights(tmp_path / "model.weights.h5")
        with pytest.raises(ModelError, match="cannot load"):
            saving.load_model(tmp_path / "architecture.json")
