"""Which test pictures stand for a class, and when there are none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from digit_run import make_digit_run

from tinysight.data import catalog
from tinysight.evaluation.predictions import Predictions, read_predictions, write_predictions
from tinysight.files import read_json, write_json
from tinysight.images import ImageSet
from tinysight.runs import Run
from tinysight.serving.examples import PER_CLASS, Examples, choose_examples, read_examples


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_digit_run(tmp_path_factory.mktemp("digits") / "run")


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    shutil.copytree(made.folder, tmp_path / "run")
    return Run(tmp_path / "run")


def test_from_the_surest_to_the_least_sure(run: Run) -> None:
    test, scores = catalog.load("mnist-5k").test, read_predictions(run.predictions)["test"].probabilities
    found = read_examples(run)
    assert list(found) == list(range(10))
    for index, examples in found.items():
        assert len(examples) == PER_CLASS
        numbers = [
            next(n for n, image in enumerate(test.images) if np.array_equal(image, example.pixels))
            for example in examples
        ]
        assert all(test.labels[number] == index for number in numbers)
        own = scores[numbers, index]
        assert (np.diff(own) <= 0).all()
        every = scores[test.labels == index, index]
        assert (own[0], own[-1]) == (every.max(), every.min())
        for number, example in zip(numbers, examples, strict=True):
            best = int(scores[number].argmax())
            assert (example.predicted, example.is_right) == (str(best), best == index)
            assert example.score == pytest.approx(scores[number].max())


def test_class_with_few_or_no_pictures() -> None:
    images = np.arange(3 * 4 * 4 * 1, dtype=np.uint8).reshape(3, 4, 4, 1)
    test = ImageSet(images=images, labels=np.array([1, 0, 1], np.int32), class_names=("a", "b", "c"))
    scores = np.array([[0.1, 0.3, 0.6], [0.5, 0.2, 0.3], [0.1, 0.8, 0.1]], np.float32)
    found = choose_examples(test, scores)
    assert [len(found[index]) for index in range(3)] == [1, 2, 0]
    assert [example.pixels[0, 0, 0] for example in found[1]] == [images[2, 0, 0, 0], images[0, 0, 0, 0]]
    assert [(example.predicted, example.is_right) for example in found[1]] == [("b", True), ("c", False)]


def test_many_large_classes_keep_within_the_memory() -> None:
    images = np.zeros((200, 512, 512, 3), np.uint8)[:, :, :, :]
    names = tuple(f"class {number}" for number in range(100))
    test = ImageSet(images=images, labels=np.arange(200, dtype=np.int32) % 100, class_names=names)
    found = choose_examples(test, np.full((200, 100), 0.01, np.float32))
    assert {len(examples) for examples in found.values()} == {1}


class TestNone:
    def test_before_they_are_read(self, run: Run) -> None:
        assert Examples(run).of(3) == []

    def test_without_predictions(self, run: Run) -> None:
        run.predictions.unlink()
        assert read_examples(run) == {}

    def test_when_the_data_is_another(self, run: Run) -> None:
        stored = read_predictions(run.predictions)["test"]
        other = Predictions(probabilities=stored.probabilities, labels=np.roll(stored.labels, 1))
        write_predictions(run.predictions, {"test": other})
        assert read_examples(run) == {}

    @pytest.mark.usefixtures("offline")
    def test_when_the_data_is_not_at_hand(self, run: Run) -> None:
        write_json(run.data, {**read_json(run.data), "name": "cifar10"})
        assert read_examples(run) == {}

    def test_when_own_pictures_are_gone(self, run: Run) -> None:
        settings = {"name_or_path": str(run.folder / "gone"), "image_size": None, "channels": None}
        own = {"settings": {**settings, "test_fraction": 0.2, "seed": 0, "group_by": None}}
        write_json(run.data, {**read_json(run.data), "own": own})
        assert read_examples(run) == {}
