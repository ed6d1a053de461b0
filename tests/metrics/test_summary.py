import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from random_predictions import predictions

import tinysight.metrics
from tinysight.errors import InvalidValueError
from tinysight.metrics.summary import summarize

NAMES = tuple("abcdefghij")


def random_set(num_images=500, num_classes=10, seed=0):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(num_classes, 0.3), num_images).astype(np.float32)
    labels = np.where(
        rng.random(num_images) < 0.7, probabilities.argmax(axis=1), rng.integers(0, num_classes, num_images)
    )
    return probabilities, labels


def test_a_summary_holds_every_figure_in_the_order_to_print():
    summary = summarize(*random_set(), NAMES)
    assert list(summary.figures) == [
        "accuracy",
        "balanced_accuracy",
        "top_2_accuracy",
        "top_5_accuracy",
        "macro_f1",
        "log_loss",
        "brier_score",
    ]
    assert summary.accuracy is summary.figures["accuracy"]
    assert all(figure.low < figure.value < figure.high for figure in summary.figures.values())
    assert all(figure.n == 500 for figure in summary.figures.values())
    assert summary.confusion.sum() == summary.num_images == 500
    assert [scores.name for scores in summary.classes] == list(NAMES)


@pytest.mark.parametrize(("num_classes", "expected"), [(2, []), (3, [2]), (5, [2]), (6, [2, 5])])
def test_top_k_is_reported_where_it_says_something(num_classes, expected):
    summary = summarize(*random_set(50, num_classes), NAMES[:num_classes])
    assert [name for name in summary.figures if name.startswith("top_")] == [f"top_{k}_accuracy" for k in expected]


@given(predictions())
def test_a_summary_is_json_whatever_is_undefined(example):
    probabilities, labels = example
    summary = summarize(probabilities, labels, [f"class {index}" for index in range(probabilities.shape[1])])
    record = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert np.sum(record["confusion"]) == len(labels)
    for scores, images in zip(record["classes"], np.sum(record["confusion"], axis=1), strict=True):
        assert (scores["recall"]["value"] is None) == (images == 0)


def test_the_same_seed_gives_the_same_intervals():
    probabilities, labels = random_set()
    first, second = (summarize(probabilities, labels, NAMES, seed=4).to_dict() for _ in range(2))
    assert first == second
    assert first != summarize(probabilities, labels, NAMES, seed=5).to_dict()


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_labels_are_chance(seed):
    """A good model whose 2,000 labels were shuffled: the interval holds 10 %, and the true accuracy's is far away."""
    probabilities, _ = random_set(2000, seed=seed)
    labels = np.repeat(np.arange(10), 200)
    np.random.default_rng(seed).shuffle(labels)
    figure = summarize(probabilities, labels, NAMES).accuracy
    assert figure.low < 0.1 < figure.high
    assert figure.high < 0.13


def test_a_name_for_each_class_is_needed():
    with pytest.raises(InvalidValueError, match="9 class names for 10 classes"):
        summarize(*random_set(), NAMES[:9])


def test_metrics_import_numpy_and_nothing_heavier():
    """In a process of its own, as the tests here import scikit-learn themselves."""
    modules = [path.stem for path in Path(next(iter(tinysight.metrics.__path__))).glob("[a-z]*.py")]
    assert len(modules) >= 8
    code = f"""
import importlib, sys
for name in {modules}: importlib.import_module("tinysight.metrics." + name)
print([name for name in ("keras", "tensorflow", "sklearn", "scipy", "matplotlib", "PIL") if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(answer.stdout) == []
