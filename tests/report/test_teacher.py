import pytest

from tinysight.metrics.counts import ConfusedPair
from tinysight.report import teacher
from tinysight.report.figures import class_rows, figure_row
from tinysight.report.words import duration, listed, percent, score, short_number, size


def accuracy(value, low, high, n=1000):
    return figure_row("accuracy", {"value": value, "interval": [low, high], "n": n, "method": "Wilson 95 %"})


def flat(text):
    return " ".join(text).replace("\N{NO-BREAK SPACE}", " ") if not isinstance(text, str) else text.replace("\xa0", " ")


def test_no_better_than_guessing_is_said():
    words = flat(teacher.quality(accuracy(0.103, 0.09, 0.12), [100] * 10))
    assert "103 right" in words
    assert "most frequent class would be right for 10.0 %" in words
    assert "no better than that" in words
    assert "mixed-up labels" in flat(teacher.quality(accuracy(0.02, 0.01, 0.03), [100] * 10))
    good = flat(teacher.quality(accuracy(0.9, 0.88, 0.92), [100] * 10))
    assert "no better" not in good
    assert "10.0 %" in good


def test_guessing_counts_the_most_frequent_class():
    words = flat(teacher.quality(accuracy(0.91, 0.89, 0.93), [900, 100]))
    assert "would be right for 90.0 %" in words
    assert "no better" in words


@pytest.mark.parametrize(
    ("published", "was_changed", "expected"),
    [
        (0.70, False, "within the interval"),
        (0.80, False, "10.0 points less"),
        (0.60, False, "10.0 points more"),
        (0.70, True, "other epochs"),
    ],
)
def test_the_source_is_compared_with(published, was_changed, expected):
    assert expected in flat(teacher.against_source(accuracy(0.7, 0.68, 0.72), published, was_changed))


def test_without_a_published_figure_nothing_is_said():
    assert teacher.against_source(accuracy(0.7, 0.68, 0.72), None, False) == []


def history(train, held_out, losses=None):
    losses = losses or [1.0] * len(train)
    return [
        {"epoch": epoch, "accuracy": one, "val_accuracy": two, "loss": 0.5, "val_loss": loss}
        for epoch, (one, two, loss) in enumerate(zip(train, held_out, losses, strict=True), start=1)
    ]


@pytest.mark.parametrize(
    ("train", "held_out", "expected"),
    [
        (0.99, 0.70, "over-fits:"),
        (0.80, 0.75, "over-fits a little"),
        (0.75, 0.74, "No over-fitting"),
        (0.60, 0.70, "better on validation images"),
    ],
)
def test_the_gap_between_the_curves(train, held_out, expected):
    assert expected in teacher.fitting(history([train], [held_out]), "accuracy", "train")[0]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([3, 2, 1], "still falling"),
        ([3, 1, 1.5, 2], "lowest after epoch 2"),
        ([3, 1, 1.01, 1.02], "stayed level"),
    ],
)
def test_how_long_it_should_have_trained(losses, expected):
    same = [0.5] * len(losses)
    words = teacher.fitting(history(same, same, losses), "accuracy", "train")
    assert expected in words[1]


def test_without_validation_there_is_no_gap_to_speak_of():
    assert teacher.fitting([{"epoch": 1, "accuracy": 0.9, "loss": 0.1}], "accuracy", "none") == []
    assert teacher.fitting([], "accuracy", "train") == []


def test_curves_of_the_test_split_are_called_so():
    assert "test images" in teacher.fitting(history([0.9], [0.7]), "accuracy", "test")[0]
    assert "validated on the test split" in teacher.validation("test", 1000)


@pytest.mark.parametrize("source", ["train", "validation", "none", "test"])
def test_every_kind_of_validation_has_a_sentence(source):
    assert teacher.validation(source, 1).endswith(".")


def test_weak_classes_are_those_whose_interval_ends_below_the_whole():
    import numpy as np

    from tinysight.metrics.summary import summarize

    labels = np.repeat([0, 1, 2], 200)
    said = labels.copy()
    said[:120] = 1
    probabilities = np.full((600, 3), 0.05)
    probabilities[np.arange(600), said] = 0.9
    test = summarize(probabilities, labels, ("cat", "dog", "fox")).to_dict()
    rows = class_rows(test, [10, 20, 30])
    assert [row.is_weak for row in rows] == [True, False, False]
    assert [row.mistaken_for for row in rows] == ["dog (120)", "–", "–"]
    assert [row.num_train for row in rows] == [10, 20, 30]
    whole = figure_row("accuracy", test["figures"]["accuracy"])
    assert "cat (40.0 % found) is the weak class" in flat(teacher.weak_classes(rows, whole))
    assert "No class" in teacher.weak_classes(rows[1:], whole)


def test_pairs_that_are_confused_both_ways():
    names = ("cat", "dog")
    both = teacher.confused([ConfusedPair(0, 1, 30, 0.3), ConfusedPair(1, 0, 20, 0.2)], names)
    assert "cat taken for dog, 30 images, 30.0 % of the images of cat" in flat(both)
    assert "other way round it happened for 20 images" in both
    assert "other way" not in teacher.confused([ConfusedPair(0, 1, 1, 0.01)], names)
    assert "No image" in teacher.confused([], names)


def test_calibration_in_words():
    def error(value, low):
        record = {"value": value, "interval": [low, value + 0.01], "n": 100, "method": "bootstrap"}
        return figure_row("expected_calibration_error", record)

    assert "at their word" in teacher.calibration(error(0.01, 0.0), 0.8, 0.79)
    assert "surer than it should be" in teacher.calibration(error(0.1, 0.05), 0.9, 0.8)
    assert "less sure" in teacher.calibration(error(0.1, 0.05), 0.7, 0.8)
    assert "nothing to correct" in teacher.temperature(1.001, 0.5, 0.5)
    assert "less sure" in teacher.temperature(1.5, 0.5, 0.4)
    assert "surer" in teacher.temperature(0.5, 0.5, 0.4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.0, ">99.9 %"), (0.9992, "99.9 %"), (0.5, "50 %"), (0.004, "0.4 %"), (0.0, "<0.1 %"), (0.986, "98.6 %")],
)
def test_a_score_is_never_rounded_to_certainty(value, expected):
    assert flat(score(value)) == expected


def test_numbers_in_words():
    values = (0, 0.1, 0.0025, 0.00025, 0.00001, 1234.5, 12.3456, -0.5)
    assert [short_number(value) for value in values] == [
        "0", "0.1", "0.0025", "2.5e-4", "1e-5", "1,234", "12.35", "-0.5",
    ]  # fmt: skip
    assert flat(percent(None)) == "–"
    assert [flat(duration(seconds)) for seconds in (None, 6.38, 59.96, 200, 3599.9, 7500)] == [
        "–", "6.4 s", "60.0 s", "3 min 20 s", "1 h 00 min", "2 h 05 min",
    ]  # fmt: skip
    assert [flat(size(value)) for value in (None, 12, 416_385, 1_234_567, 2_500_000_000)] == [
        "–", "12 B", "416 kB", "1.2 MB", "2.5 GB",
    ]  # fmt: skip
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_what_a_list_of_suspects_is_worth():
    found = {
        "num_images": 10_000, "num_suspects": 145, "num_flagged": 1288, "assumed_rate": 0.01,
        "expected_precision": 0.5, "accuracy": 0.748, "csv": "labels-test.csv", "how": "the run's own predictions",
    }  # fmt: skip
    cut = flat(teacher.suspects("test", found))
    assert cut.startswith("test images: 145 suspects among 10,000 (the run's own predictions), all in labels-test.csv.")
    assert "names 1,288, but an accuracy of 74.8 % makes most of them the model's own mistakes" in cut
    assert "were 1 % of all labels wrong at random, 50 % of the list would be" in cut
    whole = flat(teacher.suspects("test", found | {"num_flagged": 145, "expected_precision": None}))
    assert whole.endswith("all in labels-test.csv.")
    nothing = flat(teacher.suspects("test", found | {"num_suspects": 0, "expected_precision": None}))
    assert "0 suspects among 10,000 (the run's own predictions). Confident learning names 1,288" in nothing
    assert nothing.endswith("is too low to tell wrong labels from the model's own mistakes.")
