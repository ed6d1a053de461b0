"""The verbs from Python, and what `import tinysight` offers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import small_data
from whole_commands import Trained

import tinysight
from tinysight.errors import (
    DataError,
    DataUnavailableError,
    InvalidValueError,
    RunError,
    TinysightError,
    UnknownNameError,
)


class TestNames:
    def test_all_is_sorted_and_complete(self) -> None:
        assert tinysight.__all__ == sorted(tinysight.__all__) == sorted(tinysight._HOMES) == dir(tinysight)
        for name in tinysight.__all__:
            assert getattr(tinysight, name).__doc__

    def test_the_verbs_are_there(self) -> None:
        assert set(tinysight.__all__) >= {"load", "load_model", "train"}

    def test_unknown_name(self) -> None:
        with pytest.raises(AttributeError, match="module 'tinysight' has no attribute 'trian'"):
            _ = tinysight.trian

    def test_it_says_that_it_is_typed(self) -> None:
        assert (Path(tinysight.__file__).parent / "py.typed").is_file()


@pytest.fixture(scope="module")
def run(keras_module: Any, tmp_path_factory: pytest.TempPathFactory) -> tinysight.TrainedRun:
    return tinysight.train(
        "day4", data=small_data(), out=tmp_path_factory.mktemp("api") / "run", quiet=True, epochs=3,
        layers=["conv 8", "pool", "dense 16"], validation="none", learning_rate=0.01, seed=2,
    )  # fmt: skip


class TestTrain:
    def test_summary(self, run: tinysight.TrainedRun) -> None:
        assert run.is_finished
        assert run.summary == json.loads(run.finished_marker.read_text(encoding="utf-8"))
        assert (run.summary["recipe"], run.summary["data"], run.summary["epochs"]) == ("day4", "stripes", 3)
        assert run.class_names == ("ant", "bee", "cat", "dog")

    def test_predict_a_batch_and_one_image(self, run: tinysight.TrainedRun) -> None:
        images = small_data().test.images
        probabilities = run.predict(images)
        assert (probabilities.shape, probabilities.dtype) == ((20, 4), np.float32)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(run.predict(images[3]), probabilities[3:4], atol=1e-6)
        accuracy = float((probabilities.argmax(axis=1) == small_data().test.labels).mean())
        assert accuracy == pytest.approx(run.summary["test_accuracy"])

    @pytest.mark.parametrize("images", [np.zeros((9, 9, 3), np.float32), np.zeros((2,), np.uint8)])
    def test_arrays_that_are_no_pixels(self, run: tinysight.TrainedRun, images: Any) -> None:
        with pytest.raises(TinysightError):
            run.predict(images)

    def test_load(self, run: tinysight.TrainedRun) -> None:
        loaded = tinysight.load(run.folder)
        assert isinstance(loaded, tinysight.TrainedRun)
        assert loaded.summary == run.summary
        images = small_data().test.images
        for model in (run.load_keras(), tinysight.load_model(run.folder), tinysight.load_model(run.keras_model)):
            np.testing.assert_allclose(model.predict(images, verbose=0), run.predict(images), atol=1e-4)

    def test_quiet_says_nothing(self, tmp_path: Path, keras_module: Any, capfd: pytest.CaptureFixture[str]) -> None:
        capfd.readouterr()
        tinysight.train("mnist-softmax", data=small_data(), out=tmp_path / "a", quiet=True, epochs=1)
        captured = capfd.readouterr()
        assert (captured.out, captured.err) == ("", "")


class TestFaults:
    def test_unknown_names(self, offline: Path) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'tensorflow'"):
            tinysight.train("tensorflw")
        with pytest.raises(UnknownNameError, match="did you mean 'epochs'"):
            tinysight.train("tensorflow", epoch=1)
        with pytest.raises(InvalidValueError, match="epochs = 0"):
            tinysight.train("tensorflow", epochs=0)

    def test_no_substitute_for_named_data(self, offline: Path) -> None:
        with pytest.raises(DataUnavailableError, match="cifar10"):
            tinysight.train("tensorflow", data="cifar10")

    @pytest.mark.parametrize("as_type", [str, Path])
    def test_a_path_of_either_type_names_the_data(self, as_type: Any, offline: Path, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no data at '.*gone': there is no such folder"):
            tinysight.train("mnist-softmax", data=as_type(tmp_path / "gone"), epochs=1)

    @pytest.mark.parametrize("data", [b"pictures", 3, [], small_data().train])
    def test_data_of_another_type(self, data: Any, offline: Path) -> None:
        with pytest.raises(InvalidValueError, match=r"data is of type \w+; expected the name .* or None"):
            tinysight.train("mnist-softmax", data=data, epochs=1)

    def test_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="no run at"):
            tinysight.load(tmp_path / "gone")


def test_evaluate_a_named_data_set(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.run.folder, tmp_path / "run")
    evaluation = tinysight.load(tmp_path / "run").evaluate()
    assert evaluation.summary.figures["accuracy"].value == trained.summary["test_accuracy"]
    assert evaluation.confusion_plot is not None
    assert evaluation.confusion_plot.is_file()
    assert tinysight.load(str(tmp_path / "run")).evaluate("mnist-5k", split="train").summary.num_images == 4000


class TestDataMadeInPython:
    def test_evaluate_says_that_it_is_nowhere_and_takes_it(self, run: tinysight.TrainedRun) -> None:
        with pytest.raises(TinysightError, match=r"a DataSet made in Python, 'stripes', .*run.evaluate\(data=...\)"):
            run.evaluate()
        evaluation = run.evaluate(small_data())
        assert evaluation.summary.figures["accuracy"].value == pytest.approx(run.summary["test_accuracy"])
        assert evaluation.data == "stripes"

    def test_resume_takes_it(self, run: tinysight.TrainedRun, tmp_path: Path) -> None:
        copy = tinysight.TrainedRun(shutil.copytree(run.folder, tmp_path / "copy"))
        with pytest.raises(RunError, match="is finished; there is nothing to resume"):
            tinysight.resume(copy.folder, data=small_data())
        copy.finished_marker.unlink()
        with pytest.raises(TinysightError, match="a DataSet made in Python"):
            tinysight.resume(copy.folder)
        assert (
            tinysight.resume(copy.folder, data=small_data(), quiet=True).summary["test_accuracy"]
            == (run.summary["test_accuracy"])
        )
