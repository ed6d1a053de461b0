"""Heat maps must point at evidence whose place is known, on nets put together in every way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from quadrants import SIDE, SQUARE, corners, quadrant_data, quadrants
from whole_commands import QUICK_XLA

from tinysight.errors import InvalidValueError
from tinysight.evaluation.geometry import Axis, stretch
from tinysight.evaluation.pictures import to_pictures
from tinysight.files import read_json, write_json
from tinysight.report.explain_figures import classic_figure, features_figure, heat_figure, kernels_figure
from tinysight.report.plots import save
from tinysight.runs import Run
from tinysight.serving.heatmap import occlusion_map
from tinysight.serving.predictor import Predictor
from tinysight.verbs.explain import explain


def hits(maps: np.ndarray, squares: np.ndarray, *, slack: int = 2) -> float:
    """The share of maps whose brightest pixel lies on the square, or within `slack` pixels of it."""
    brightest = np.array([np.unravel_index(found.argmax(), found.shape) for found in maps])
    away = np.maximum(squares - brightest, brightest - (squares + SQUARE - 1)).max(axis=1)
    return float((away <= slack).mean())


def small_model(net: Any, channels: int = 1, *, flip: bool = False) -> Any:
    from tinysight.models.serving import serving_model

    return serving_model(net, "0..1", (SIDE, SIDE, channels), flip_predictions=flip)


class TestHeatMaps:
    def test_points_at_the_evidence(self, quadrant_model: Any) -> None:
        from tinysight.evaluation.explain import heat_maps

        test = quadrant_data().test
        found = heat_maps(quadrant_model, test.images, batch_size=50)
        assert (found.method, found.maps.shape, found.maps.dtype) == ("HiResCAM", (120, SIDE, SIDE), np.float32)
        np.testing.assert_array_equal(found.maps.max(axis=(1, 2)), 1)
        assert found.maps.min() == 0
        assert (found.classes == test.labels).mean() > 0.95
        assert hits(found.maps, corners(120, seed=1)) > 0.9
        # The measure can fail: for the squares of other images it does.
        assert hits(found.maps, np.roll(corners(120, seed=1), 1, axis=0)) < 0.3

    def test_batches_change_nothing(self, quadrant_model: Any) -> None:
        from tinysight.evaluation.explain import heat_maps

        images = quadrants(7, seed=5).images
        whole, parts = (heat_maps(quadrant_model, images, batch_size=size).maps for size in (64, 3))
        np.testing.assert_allclose(whole, parts, atol=1e-5)

    def test_another_class_has_another_map(self, quadrant_model: Any) -> None:
        from tinysight.evaluation.explain import heat_maps

        images = quadrants(8, seed=5).images
        own = heat_maps(quadrant_model, images)
        other = heat_maps(quadrant_model, images, (own.classes + 1) % 4)
        assert np.abs(own.maps - other.maps).max(axis=(1, 2)).min() > 0.1

    @pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
    def test_the_same_on_jax(self, quadrant_run: Run, quadrant_model: Any, tmp_path: Path) -> None:
        from tinysight.evaluation.explain import heat_maps

        images = quadrants(6, seed=7).images
        np.save(tmp_path / "images.npy", images)
        script = Path(__file__).with_name("heat_maps_on_jax.py")
        subprocess.run(
            [sys.executable, script, quadrant_run.keras_model, tmp_path / "images.npy", tmp_path / "maps.npy"],
            env={**os.environ, **QUICK_XLA, "KERAS_BACKEND": "jax"},
            check=True,
        )
        np.testing.assert_allclose(np.load(tmp_path / "maps.npy"), heat_maps(quadrant_model, images).maps, atol=1e-3)

    def test_every_way_of_building(self, keras_module: Any) -> None:
        from tinysight.evaluation.explain import feature_maps, first_layer_kernels, heat_maps

        images = quadrants(3, channels=3).images
        for name, net, layer in nets(keras_module):
            for flip in (False, True):
                model = small_model(net, 3, flip=flip)
                before = np.asarray(model(images))
                found = heat_maps(model, images)
                assert (found.method, found.layer) == ("HiResCAM", layer), name
                assert np.isfinite(found.maps).all()
                assert feature_maps(model, images[0])[0].layer == "first"
                kernels = first_layer_kernels(model)
                assert kernels is not None
                assert (kernels.layer, kernels.pictures.shape) == ("first", (4, 3, 3, 3))
                # The layers compute what they did before, and nothing is left in them.
                np.testing.assert_array_equal(np.asarray(model(images)), before)
                assert all("call" not in vars(leaf) for leaf in net.layers)

    @pytest.mark.parametrize("with_logits", [False, True])
    def test_of_several_views_the_image_itself_is_shown(
        self, keras_module: Any, quadrant_model: Any, with_logits: bool
    ) -> None:
        from tinysight.evaluation.explain import heat_maps
        from tinysight.models.serving import serving_model

        (net,) = (layer for layer in quadrant_model.layers if isinstance(layer, keras_module.Model))
        if with_logits:
            pixels = keras_module.Input((SIDE, SIDE, 1))
            net = keras_module.Model(pixels, keras_module.ops.log(net(pixels)))
        model = serving_model(net, "0..1", (SIDE, SIDE, 1), flip_predictions=True, shift_predictions=1)
        test = quadrant_data().test
        found = heat_maps(model, test.images, test.labels, batch_size=50)
        # Heat of the mirror image would lie on the other side.
        assert hits(found.maps, corners(120, seed=1)) > 0.9
        assert found.maps.shape == (120, SIDE, SIDE)

    def test_a_net_without_convolution_falls_back_and_says_so(self, keras_module: Any) -> None:
        from tinysight.evaluation.explain import feature_maps, first_layer_kernels, heat_maps

        layers = keras_module.layers
        net = keras_module.Sequential(
            [keras_module.Input((SIDE, SIDE, 1)), layers.Flatten(), layers.Dense(4, activation="softmax")]
        )
        weights = np.zeros((SIDE, SIDE, 4), np.float32)
        weights[3:5, 7, 0] = [1, -2]
        net.layers[-1].set_weights([weights.reshape(-1, 4), np.zeros(4, np.float32)])
        model = small_model(net)
        found = heat_maps(model, quadrants(2).images, np.array([0, 0]))
        assert found.method == "input gradient"
        assert "no feature map" in found.words
        expected = np.zeros((SIDE, SIDE))
        expected[3:5, 7] = [0.5, 1]
        np.testing.assert_allclose(found.maps, np.stack([expected, expected]), atol=1e-5)
        assert feature_maps(model, quadrants(1).images[0]) == []
        assert first_layer_kernels(model) is None

    def test_nothing_speaks_for_the_class(self, keras_module: Any) -> None:
        from tinysight.evaluation.explain import heat_maps

        layers = keras_module.layers
        net = keras_module.Sequential(
            [
                keras_module.Input((SIDE, SIDE, 1)),
                layers.Conv2D(2, 3, kernel_initializer="zeros"),
                layers.Flatten(),
                layers.Dense(4, activation="softmax"),
            ]
        )
        np.testing.assert_array_equal(heat_maps(small_model(net), quadrants(2).images).maps, 0)

    @pytest.mark.parametrize(
        ("images", "classes", "message"),
        [
            (np.zeros((0, SIDE, SIDE, 1), np.uint8), None, "at least one"),
            (np.zeros((2, SIDE, SIDE, 1), np.float32), None, "float32"),
            (np.zeros((SIDE, SIDE, 1), np.uint8), None, "expected uint8"),
            (np.zeros((2, SIDE, SIDE, 1), np.uint8), np.array([0]), "one integer each"),
            (np.zeros((2, SIDE, SIDE, 1), np.uint8), np.array([0, 4]), "expected 0 to 3"),
            (np.zeros((2, SIDE, SIDE, 1), np.uint8), np.array([0.0, 1.0]), "one integer each"),
        ],
    )
    def test_bad_input(self, quadrant_model: Any, images: Any, classes: Any, message: str) -> None:
        from tinysight.evaluation.explain import heat_maps

        with pytest.raises(InvalidValueError, match=message):
            heat_maps(quadrant_model, images, classes)


def nets(keras: Any) -> list[tuple[str, Any, str]]:
    """(name, net, the layer that its heat map comes from)."""
    layers = keras.layers

    def convolutions() -> list[Any]:
        return [
            layers.Conv2D(4, 3, name="first", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(5, 3, name="second", activation="relu"),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
        ]

    sequential = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), *convolutions(), layers.Dense(4, activation="softmax")]
    )
    body = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *convolutions()])
    nested = keras.Sequential([keras.Input((SIDE, SIDE, 3)), body, layers.Dense(4)])
    pixels = keras.Input((SIDE, SIDE, 3))
    first = layers.Conv2D(4, 3, name="first", padding="same")(pixels)
    both = layers.Add(name="sum")([first, layers.Conv2D(4, 1)(first)])
    functional = keras.Model(pixels, layers.Dense(4)(layers.GlobalMaxPooling2D()(both)))
    tiny = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(4, 3, strides=4, name="first"),
            layers.Conv2D(4, 3, strides=4, name="coarse"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    return [
        ("sequential", sequential, "second"),
        ("nested", nested, "second"),
        ("functional with a branch", functional, "sum"),
        ("last map too coarse", tiny, "first"),
    ]


class TestGeometry:
    def test_valid_convolutions_of_the_tutorials(self) -> None:
        """Worked by hand: conv 3, pool 2, conv 3, pool 2, conv 3 on 32 pixels."""
        axis, cells = Axis(), 32
        for size, stride, after in ((3, 1, 30), (2, 2, 15), (3, 1, 13), (2, 2, 6), (3, 1, 4)):
            axis, cells = axis.after_window(size, stride, 1, "valid", cells), after
        assert (axis.start, axis.step, cells) == (8.5, 4.0, 4)

    def test_same_padding_stays_in_place(self) -> None:
        assert Axis().after_window(3, 1, 1, "same", 32) == Axis(0.0, 1.0)
        # Keras pads one pixel, and that at the far end: windows start at 0, 2, 4, ...
        assert Axis().after_window(3, 2, 1, "same", 32) == Axis(1.0, 2.0)
        assert Axis().after_window(3, 2, 1, "same", 33) == Axis(0.0, 2.0)

    def test_unknown_layers_are_stretched(self) -> None:
        assert Axis().resized(8, 4) == Axis(0.5, 2.0)
        assert Axis(0.5, 2.0).resized(4, 8) == Axis(0.0, 1.0)

    def test_tapped_axes_are_where_the_gradient_comes_from(self, keras_module: Any) -> None:
        """The pixels that a cell depends on, by the weights themselves, are centred where the arithmetic says."""
        from tinysight.evaluation.taps import tap

        layers = keras_module.layers
        net = keras_module.Sequential(
            [
                keras_module.Input((SIDE, SIDE, 1)),
                layers.Conv2D(1, 3, padding="same", kernel_initializer="ones"),
                layers.AveragePooling2D(2),
                layers.Conv2D(1, 3, strides=2, kernel_initializer="ones"),
                layers.Flatten(),
                layers.Dense(2),
            ]
        )
        model = small_model(net)
        axis = [item for item in tap(model, np.zeros((1, SIDE, SIDE, 1), np.uint8)) if item.side == 5][-1].axes[0]
        lit = np.zeros((SIDE, SIDE, SIDE, 1), np.uint8)
        lit[np.arange(SIDE), np.arange(SIDE)] = 255
        cells = np.asarray(tap(model, lit)[-1].output)[:, 2, :, 0].sum(axis=1)
        centre = (cells * np.arange(SIDE)).sum() / cells.sum()
        assert axis.start + 2 * axis.step == pytest.approx(centre, abs=1e-4)

    def test_stretch(self) -> None:
        maps = np.array([[[0, 1], [0, 1]]], np.float32)
        found = stretch(maps, (Axis(0, 1), Axis(1, 2)), (2, 8))
        np.testing.assert_allclose(found[0, 0], [0, 0, 0.5, 1, 1, 0.5, 0, 0])
        np.testing.assert_array_equal(found[0, 0], found[0, 1])


class TestOcclusion:
    def test_points_at_the_evidence(self, quadrant_run: Run) -> None:
        predictor = Predictor(quadrant_run.onnx_model)
        test = quadrant_data().test.take(np.arange(40))
        maps = np.stack([occlusion_map(predictor, image) for image in test.images])
        assert (maps.shape, maps.dtype, maps.max(), maps.min()) == ((40, SIDE, SIDE), np.float32, 1, 0)
        assert hits(maps, corners(120, seed=1)[:40]) > 0.9

    def test_asks_the_model_for_a_few_images_at_once(self) -> None:
        asked = []

        class Counting:
            def predict(self, images: np.ndarray) -> np.ndarray:
                asked.append(len(images))
                scores = 1 + images[:, :, :4].mean(axis=(1, 2, 3), dtype=np.float64)
                return np.stack([scores, 256 - scores], axis=1).astype(np.float32) / 256

        image = np.zeros((9, 13, 3), np.uint8)
        image[:, :4] = 200
        found = occlusion_map(Counting(), image, 0)
        assert asked == [1, 27, 27, 27]
        assert found.shape == (9, 13)
        assert found[:, :3].min() > 0.5
        assert found[:, 8:].max() == 0

    def test_every_pixel_is_covered(self, quadrant_run: Run) -> None:
        from tinysight.serving import heatmap

        for height, width in ((1, 1), (3, 8), (28, 28), (33, 64), (256, 256)):
            masks = heatmap._masks(height, width)
            assert masks.shape == (81, height, width)
            assert masks.any(axis=0).all()
            assert masks.any(axis=(1, 2)).all()

    def test_bad_input(self, quadrant_run: Run) -> None:
        predictor = Predictor(quadrant_run.onnx_model)
        image = quadrants(1).images[0]
        with pytest.raises(InvalidValueError, match="expected 0 to 3"):
            occlusion_map(predictor, image, 4)
        with pytest.raises(InvalidValueError, match="expected 0 to 3"):
            occlusion_map(predictor, image, -1)
        with pytest.raises(InvalidValueError, match="height, width, channels"):
            occlusion_map(predictor, image[..., 0])
        with pytest.raises(InvalidValueError, match="expected uint8"):
            occlusion_map(predictor, image[:5])


def test_to_pictures() -> None:
    values = np.zeros((2, 2, 2), np.float32)
    values[..., 0] = [[-1, 0], [1, 3]]
    np.testing.assert_array_equal(to_pictures(values), [[[0, 64], [128, 255]], [[0, 0], [0, 0]]])
    one_cell = np.array([[[1.0, 3.0, 2.0]]], np.float32)
    np.testing.assert_array_equal(to_pictures(one_cell), [[[0]], [[255]], [[128]]])


class TestCommand:
    def test_writes_pictures(
        self, quadrant_run: Run, command: Callable[..., tuple[int, str, str]], tmp_path: Path
    ) -> None:
        images = quadrants(2, seed=3).images
        for number, image in enumerate(images):
            Image.fromarray(image[..., 0]).save(tmp_path / f"{number}.png")
        (tmp_path / "2.png").write_bytes(b"no picture")
        status, out, err = command("explain", quadrant_run.folder, tmp_path, "--output", tmp_path / "out", "--json")
        assert status == 1
        assert "2.png: " in err
        result = json.loads(out)
        assert [record.get("predicted") for record in result["images"]] == ["upper left", "upper right", None]
        written = [Path(file) for record in result["images"][:2] for file in record["files"]]
        assert [file.name for file in written[:3]] == [
            f"001-0-{kind}.png" for kind in ("heatmap", "features", "classic")
        ]
        for file in (*written, Path(result["kernels"])):
            with Image.open(file) as picture:
                assert min(picture.size) > 50
                assert len(np.unique(np.asarray(picture))) > 20
        assert sorted((tmp_path / "out").iterdir()) == sorted([*written, Path(result["kernels"])])

    @pytest.mark.filterwarnings("error:Glyph")
    def test_any_name_can_be_drawn(self, quadrant_run: Run, tmp_path: Path) -> None:
        run = Run(shutil.copytree(quadrant_run.folder, tmp_path / "run"))
        class_names = ["$5_$6", "upper \U00013000", "Grüße", r"\frac$"]
        write_json(run.data, read_json(run.data) | {"class_names": class_names})
        names = ["cost $5_$6.png", "b \U00013000.png", "$^$.png"]
        for name, image in zip(names, quadrants(3, seed=3).images, strict=True):
            Image.fromarray(image[..., 0]).save(tmp_path / name)
        result = explain(run.folder, [tmp_path / name for name in names], output=tmp_path / "out")
        written = {Path(file).name for record in result["images"] for file in record["files"]}
        assert len(written) == 9
        assert "001-cost $5_$6-heatmap.png" in written

    def test_any_name_of_a_layer_can_be_drawn(self, tmp_path: Path) -> None:
        image, values = quadrants(1).images[0], np.zeros((4, 4, 2), np.float32)
        layer, title = ("$a_$b", values), "$5_$6"
        for number, figure in enumerate(
            (
                features_figure(image, [layer], title),
                classic_figure(image, layer, title),
                kernels_figure(np.zeros((2, 3, 3, 1), np.uint8), title),
                heat_figure(image, np.zeros(image.shape[:2], np.float32), title, title),
            )
        ):
            save(figure, tmp_path / f"{number}.png")

    def test_bad_arguments(
        self, quadrant_run: Run, command: Callable[..., tuple[int, str, str]], tmp_path: Path
    ) -> None:
        (tmp_path / "a.png").write_bytes(b"")
        status, _, err = command("explain", quadrant_run.folder, tmp_path / "a.png")
        assert (status, err.count("\n")) == (2, 1)
        status, _, err = command("explain", tmp_path / "no-run", tmp_path / "a.png")
        assert (status, "no run at" in err) == (2, True)
        assert not quadrant_run.explanations.exists()
