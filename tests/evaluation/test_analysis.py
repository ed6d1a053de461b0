from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quadrants import NAMES, SIDE, quadrant_data

from tinysight.errors import DataError, InvalidValueError, RunError, UnknownNameError
from tinysight.evaluation import analysis, analysis_parts
from tinysight.evaluation.analysis import analyze, read_arrays, read_records
from tinysight.evaluation.analysis_explain import choose_images
from tinysight.evaluation.predictions import Predictions
from tinysight.images import DataSet, ImageSet
from tinysight.runs import Run


@pytest.fixture
def run(quadrant_run: Run, tmp_path: Path) -> Run:
    return Run(shutil.copytree(quadrant_run.folder, tmp_path / "run"))


def is_figure(value: Any) -> bool:
    low, high = value["interval"]
    return bool(0 <= low <= value["value"] <= high <= 1 and value["n"] > 0 and value["method"])


def test_labels(run: Run) -> None:
    record = analyze(run, quadrant_data(), parts=["labels"])["labels"]
    assert list(record["splits"]) == ["test", "validation"]
    assert record["splits"]["test"]["num_images"] == 120
    assert record["splits"]["validation"]["num_images"] == 80
    for split, found in record["splits"].items():
        with (run.analysis / found["csv"]).open(encoding="utf-8", newline="") as file:
            assert len(list(csv.reader(file))) == found["num_suspects"] + 1
        assert (run.analysis / found["csv"]) == run.label_issues(split)
    scores = [suspect["score"] for suspect in record["suspects"]]
    assert scores == sorted(scores)
    assert read_arrays(run, "labels")["images"].shape == (len(scores), SIDE, SIDE, 1)


def test_labels_of_the_training_images(run: Run, quadrant_recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indices are those of the data set's own training split, though validation images are cut out of it."""
    from tinysight.data.validation import read_split

    truth, used = quadrant_data(), read_split(run.splits)[0]
    wrong = int(used[17])
    labels = truth.train.labels.copy()
    labels[wrong] = (labels[wrong] + 1) % 4
    faulty = ImageSet(images=truth.train.images, labels=labels, class_names=NAMES)
    data = DataSet(name=truth.name, train=faulty, test=truth.test)
    asked = []

    def by_a_good_model(recipe: Any, images: ImageSet, num_folds: int, *, say: Any) -> np.ndarray:
        asked.append((recipe.layers, num_folds))
        return np.asarray(np.where(np.eye(4, dtype=bool)[truth.train.labels[used]], 0.97, 0.01), np.float32)

    monkeypatch.setattr(analysis_parts, "cross_validated_probabilities", by_a_good_model)
    record = analyze(run, data, parts=["labels"], label_folds=3)["labels"]
    assert asked == [(quadrant_recipe.layers, 3)]
    (suspect,) = [suspect for suspect in record["suspects"] if suspect["split"] == "train"]
    assert (suspect["index"], suspect["given_index"]) == (wrong, labels[wrong])
    assert suspect["suggested_index"] == truth.train.labels[wrong]
    position = record["suspects"].index(suspect)
    np.testing.assert_array_equal(read_arrays(run, "labels")["images"][position], data.train.images[wrong])
    # The costly check is not thrown away by a call that asks for none.
    assert analyze(run, data, parts=["labels"])["labels"] == record
    assert len(asked) == 1


def test_explain(run: Run, keras_module: Any) -> None:
    record = analyze(run, quadrant_data(), parts=["explain"])["explain"]
    arrays = read_arrays(run, "explain")
    count = len(record["images"])
    assert record["method"] == "HiResCAM"
    assert arrays["images"].shape == (count, SIDE, SIDE, 1)
    assert arrays["heat_maps"].shape == (count, SIDE, SIDE)
    test = quadrant_data().test
    for image, found in zip(arrays["images"], record["images"], strict=True):
        np.testing.assert_array_equal(image, test.images[found["index"]])
        assert found["given"] == NAMES[test.labels[found["index"]]]
    shape = tuple(record["kernels"][name] for name in ("num_filters", "height", "width", "channels"))
    assert arrays["kernels"].shape == shape == (8, 3, 3, 1)
    assert [found["kind"] for found in record["feature_maps"]] == ["Conv2D", "MaxPooling2D"] * 2
    for found in record["feature_maps"]:
        assert arrays[found["array"]].shape == (min(found["num_channels"], 16), found["height"], found["width"])
    assert len(arrays["classic"]) == len(record["classic"])


def test_outliers(run: Run, offline: Path) -> None:
    record = analyze(run, quadrant_data(), parts=["outliers"])["outliers"]
    names = [source["name"] for source in record["sources"]]
    # The digits come inside a dependency; nothing else is on this machine.
    assert names == ["uniform noise", "gaussian noise", "shuffled patches", "mnist-5k"]
    assert {skipped["name"]: skipped["reason"] for skipped in record["skipped"]}["cifar10"] == (
        "it is not on this machine"
    )
    for source in record["sources"]:
        assert is_figure(source["auroc"]["probability"])
        assert is_figure(source["auroc"]["entropy"])
        assert sum(source["counts"]) == source["num_images"] == 1000
    arrays = read_arrays(run, "outliers")
    assert arrays["mnist_5k_examples"].shape == (8, SIDE, SIDE, 1)
    assert arrays["uniform_noise_scores"].shape == arrays["uniform_noise_predicted"].shape == (8,)


def test_data_with_the_same_classes_are_no_outliers(run: Run, offline: Path) -> None:
    data = quadrant_data()
    names = ("0", "1", "2", "3")
    sets = [ImageSet(images=part.images, labels=part.labels, class_names=names) for part in (data.train, data.test)]
    record = analyze(run, DataSet(name="digits", train=sets[0], test=sets[1]), parts=["outliers"])["outliers"]
    reasons = {skipped["name"]: skipped["reason"] for skipped in record["skipped"]}
    assert reasons["mnist-5k"] == "it has classes of the model: 0, 1, 2"


def test_robustness(run: Run) -> None:
    from tinysight.evaluation.corruptions import CORRUPTIONS

    record = analyze(run, quadrant_data(), parts=["robustness"], num_images=24, seed=2)["robustness"]
    assert (record["split"], record["num_images"]) == ("test", 24)
    assert is_figure(record["clean"])
    assert [item["name"] for item in record["corruptions"]] == list(CORRUPTIONS)
    assert all(is_figure(figure) for item in record["corruptions"] for figure in item["accuracy"])
    arrays = read_arrays(run, "robustness")
    assert arrays["examples"].shape == (len(CORRUPTIONS), 6, SIDE, SIDE, 1)
    for item in record["corruptions"]:
        right = arrays[item["name"].replace(" ", "_").replace("-", "_") + "_right"]
        assert right.mean(axis=1).tolist() == pytest.approx([figure["value"] for figure in item["accuracy"]])


def test_duplicates(run: Run) -> None:
    from tinysight.data.validation import read_split

    data = quadrant_data()
    used, held_out = read_split(run.splits)
    images = data.train.images.copy()
    for test_index, train_index in ((3, used[5]), (4, used[9]), (50, held_out[2])):
        images[train_index] = data.test.images[test_index]
    train = ImageSet(images=images, labels=data.train.labels, class_names=NAMES)
    record = analyze(run, DataSet(name=data.name, train=train, test=data.test), parts=["duplicates"])["duplicates"]
    between = {(item["first"], item["second"]): item for item in record["between"]}
    assert list(between) == [("train", "validation"), ("train", "test"), ("validation", "test")]
    assert between["train", "test"]["num_exact"] == between["train", "test"]["num_affected"] == 2
    exact = [pair for pair in record["pairs"] if pair["kind"] == "exact"]
    assert {(pair["first"], pair["first_index"], pair["second_index"]) for pair in exact} == {
        ("train", used[5], 3), ("train", used[9], 4), ("validation", 2, 50)
    }  # fmt: skip
    assert record["accuracy_with"]["n"] == 120
    assert record["accuracy_without"]["n"] == 120 - between["train", "test"]["num_affected"]
    arrays = read_arrays(run, "duplicates")
    np.testing.assert_array_equal(arrays["first_images"][: len(exact)], arrays["second_images"][: len(exact)])


def test_a_part_is_measured_once_and_anew_for_another_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def measure(subject: Any, key: Any) -> Any:
        measured.append(key)
        return {}, {}

    monkeypatch.setattr(analysis, "PARTS", {"labels": (lambda subject, kept: {"seed": subject.seed}, measure)})
    first = analyze(run, quadrant_data(), parts=["labels"])
    assert analyze(run, quadrant_data(), parts=["labels"]) == first
    assert len(measured) == 1
    analyze(run, quadrant_data(), parts=["labels"], seed=1)
    assert len(measured) == 2
    with run.onnx_model.open("ab") as file:
        file.write(b"\0")
    analyze(run, quadrant_data(), parts=["labels"], seed=1)
    assert len(measured) == 3


def test_a_part_that_fails_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(subject: Any, key: Any) -> Any:
        raise KeyboardInterrupt

    parts = {"labels": (lambda s, kept: {}, lambda s, key: ({}, {})), "outliers": (lambda s, kept: {}, stop)}
    monkeypatch.setattr(analysis, "PARTS", parts)
    with pytest.raises(KeyboardInterrupt):
        analyze(run, quadrant_data(), parts=["labels", "outliers"])
    assert list(read_records(run)) == ["labels"]


def test_bad_arguments(run: Run) -> None:
    data = quadrant_data()
    with pytest.raises(UnknownNameError, match="did you mean 'labels'"):
        analyze(run, data, parts=["label"])
    for wrong in ({"num_images": 0}, {"label_folds": 1}, {"label_folds": -1}):
        with pytest.raises(InvalidValueError, match="expected 1 or more"):
            analyze(run, data, **wrong)  # type: ignore[arg-type]
    fewer = DataSet(name="other", train=data.train, test=data.test.take(np.arange(40)))
    with pytest.raises(DataError, match="other has other test images"):
        analyze(run, fewer)
    with pytest.raises(RunError, match=r"no labels\.npz"):
        read_arrays(run, "labels")
    assert read_records(run) == {}
    run.predictions.unlink()
    with pytest.raises(RunError, match="did not finish"):
        analyze(run, data)


def test_chosen_images() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    rows = rng.dirichlet([0.5] * 3, 60).astype(np.float32)
    chosen = choose_images(Predictions(probabilities=rows, labels=labels.astype(np.int32)))
    by_role: dict[str, list[int]] = {}
    for role, index in chosen:
        by_role.setdefault(role, []).append(index)
    right = rows.argmax(axis=1) == labels
    assert {role: len(found) for role, found in by_role.items()} == {
        "sure and right": 6, "sure and wrong": 6, "unsure": 4
    }  # fmt: skip
    assert right[by_role["sure and right"]].all()
    assert not right[by_role["sure and wrong"]].any()
    assert set(labels[by_role["sure and right"][:3]]) == {0, 1, 2}
    assert len({index for _, index in chosen}) == 16
    perfect = choose_images(Predictions(probabilities=np.eye(3, dtype=np.float32), labels=np.arange(3, dtype=np.int32)))
    assert [role for role, _ in perfect] == ["sure and right"] * 3
