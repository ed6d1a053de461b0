"""The PNG files of a run: there, of the expected size, the same each time, and drawn for unusual inputs too."""

import numpy as np
import pytest
from PIL import Image

from tinysight.evaluation.predictions import Predictions
from tinysight.files import write_json
from tinysight.images import ImageSet
from tinysight.report.labels import PlotFont, shorten
from tinysight.report.plots import accuracy_figure, confusion_figure, loss_figure, samples_of, write_plots
from tinysight.runs import Run
from tinysight.training.history import write_history

NAMES = {"accuracy", "loss", "learning_rate", "confusion", "confusion_normalized", "samples"}


def draw(folder, *, class_names=("cat", "dog", "frog"), epochs=3, validation="train", num_images=40, shape=(8, 8, 3)):
    """Plots of random predictions; returns the run and its file names with sizes in pixels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(class_names), num_images).astype(np.int32)
    probabilities = rng.dirichlet(np.ones(len(class_names)), num_images).astype(np.float32)
    images = rng.integers(0, 256, (num_images, *shape)).astype(np.uint8)
    run = Run(folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"epoch": epoch, "accuracy": 0.5, "loss": 1 / epoch, "learning_rate": 0.01} for epoch in range(1, epochs + 1)
    ]
    if validation != "none":
        rows = [row | {"val_accuracy": 0.4, "val_loss": 2.0} for row in rows]
    write_history(run.history, rows)
    write_json(run.data, {"validation": validation})
    test = ImageSet(images=images, labels=labels, class_names=tuple(class_names))
    predictions = Predictions(probabilities=probabilities, labels=labels)
    write_plots(run, test, predictions, metric="accuracy")
    return run, {path.stem: pixels(path).shape[1::-1] for path in run.plots.iterdir()}


def pixels(path):
    """A picture as grey levels (height, width)."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("L"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("plain"))


def test_six_pictures_of_the_expected_size(drawn):
    run, sizes = drawn
    assert set(sizes) == NAMES
    assert sizes["accuracy"] == sizes["loss"] == sizes["learning_rate"] == (800, 500)
    assert sizes["samples"][0] == 1000
    assert not list(run.plots.glob(".partial-*"))


@pytest.mark.parametrize(
    "unusual",
    [
        {"epochs": 1},
        {"epochs": 200},
        {"validation": "none"},
        {"class_names": ("yes", "no"), "shape": (28, 28, 1)},
        {"class_names": tuple(f"class {index}" for index in range(100)), "num_images": 300},
        {"class_names": ("a" * 300, "b" * 300, "c")},
        {"class_names": ("$5 ^ bill_", "Grüße", "猫と犬", "Ελληνικά", "a\nb\tc", "🦊", "")},
        {"num_images": 2},
    ],
    ids=["one-epoch", "many-epochs", "no-validation", "two-classes", "hundred", "long", "odd-characters", "two-images"],
)
def test_unusual_inputs(tmp_path, unusual):
    # Warnings are errors in tests, so a missing glyph or an empty axis range would fail here.
    _, sizes = draw(tmp_path, **unusual)
    assert set(sizes) == NAMES
    assert all(min(size) >= 200 and max(size) <= 2000 for size in sizes.values())


def test_nothing_runs_over_an_edge(drawn):
    for name in NAMES:
        picture = pixels(drawn[0].plots / f"{name}.png")
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (border == 255).all(), f"{name} runs over its edge"
        assert (picture < 200).mean() > 0.002


def test_one_epoch_is_a_point():
    axes = accuracy_figure([{"epoch": 1, "accuracy": 0.5, "val_accuracy": 0.4}], "accuracy", "test split").axes[0]
    assert [line.get_marker() for line in axes.lines] == ["o", "s"]
    assert axes.get_ylim() == (0, 1.02)


def test_validation_is_named_after_what_it_was(tmp_path):
    rows = [{"epoch": 1, "loss": 1.0, "val_loss": 2.0}, {"epoch": 2, "loss": 0.5, "val_loss": 1.0}]
    legend = loss_figure(rows, "test split").axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["training", "test split"]
    without = loss_figure([{"epoch": 1, "loss": 1.0}]).axes[0].get_legend()
    assert [text.get_text() for text in without.get_texts()] == ["training"]


def test_confusion_cells_hold_their_numbers():
    matrix = np.array([[30, 1, 0], [2, 40, 3], [0, 0, 0]])
    for normalized, expected in ((False, {"30", "40", "1", "2", "3", "0"}), (True, {"96.8", "3.2", "88.9", "0"})):
        axes = confusion_figure(matrix, ("a", "b", "c"), normalized=normalized).axes[0]
        assert expected <= {text.get_text() for text in axes.texts}


def test_same_bytes_whatever_settings_a_person_has(drawn, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        second, _ = draw(tmp_path / "b")
        assert dict(matplotlib.rcParams) == before
    for name in NAMES:
        assert (drawn[0].plots / f"{name}.png").read_bytes() == (second.plots / f"{name}.png").read_bytes()


def test_pyplot_is_not_imported():
    import subprocess
    import sys

    code = "import sys, tinysight.report.plots as p; p.loss_figure([{'epoch': 1, 'loss': 1.0}]);"
    code += "print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_shorten_keeps_both_ends():
    assert shorten("short") == "short"
    assert shorten("a" * 30 + "1", 9) == "aaaa…aaa1"
    assert len(shorten("x" * 100)) == 22


def test_names_that_no_font_has_become_numbers():
    font = PlotFont()
    assert font.drawable("Grüße", 0) == "Grüße"
    assert font.drawable("\U0010fffd", 3) == "class 3"
    assert font.drawable(" \n", 4) == "class 4"
    assert font.drawable("\U00013000.png", 5, "image") == "image 5"


def test_samples_are_of_all_classes_where_a_split_is_sorted_by_class():
    labels = np.repeat(np.arange(10, dtype=np.int32), 100)
    images = np.repeat(labels.astype(np.uint8), 64).reshape(1000, 8, 8, 1)
    test = ImageSet(images=images, labels=labels, class_names=tuple("0123456789"))
    shown, said = samples_of(test, Predictions(probabilities=np.eye(10, dtype=np.float32)[labels], labels=labels))
    assert len(shown) == 15
    assert set(shown.labels) == set(range(10))
    assert (shown.images[:, 0, 0, 0] == shown.labels).all()
    assert (said.labels == shown.labels).all()
    assert (said.probabilities.argmax(axis=1) == shown.labels).all()
