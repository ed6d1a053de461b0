"""What the figures say, in the words a teacher would use. Plain functions from numbers to sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tinysight.metrics.counts import ConfusedPair
from tinysight.report.figures import ClassRow, FigureRow
from tinysight.report.words import counted, listed, number, percent, points, spoken
from tinysight.training.history import Row

# Gaps between training and validation accuracy from which one speaks of over-fitting: some, and much.
SOME_GAP, LARGE_GAP = 0.03, 0.10
MAX_NAMED = 3

VALIDATION = {
    "train": "While it learned, the net was watched on {count} that were held out of the training split.",
    "validation": "While it learned, the net was watched on the data set's own validation split of {count}.",
    "none": "No images were held out for validation: nothing here says how the net did on new images while it learned.",
    "test": (
        "The net was validated on the test split, as its tutorial does. Whoever compares epochs, settings or recipes by"
        " that curve chooses by the test images, and then the test figures look better than new images will: trust"
        " them only as far as nothing was chosen by them. `--set validation=stratified` holds out training images"
        " instead."
    ),
}


def quality(accuracy: FigureRow, test_counts: Sequence[int]) -> list[str]:
    """How good it is, against guessing."""
    value, low = accuracy.value or 0.0, accuracy.low or 0.0
    right = round(value * accuracy.n)
    chance = max(test_counts) / max(sum(test_counts), 1)
    sentences = [f"Of {counted(accuracy.n, 'image')} that it was not trained on, the model names {right:,} right."]
    always = f"Always naming the most frequent class would be right for {percent(chance)}."
    if low <= chance <= (accuracy.high or 1.0):
        sentences.append(f"{always} The model is no better than that: it has learned nothing that these images show.")
    elif value < chance:
        sentences.append(f"{always} The model is worse than that: look for mixed-up labels.")
    else:
        sentences.append(always)
    return sentences


def against_source(accuracy: FigureRow, published: float | None, was_changed: bool) -> list[str]:
    """How the accuracy compares with what the recipe's source gives."""
    if published is None or accuracy.value is None or accuracy.low is None or accuracy.high is None:
        return []
    start = f"The source of the recipe gives {percent(published)}"
    if was_changed:
        return [f"{start}, on other data or with other epochs than this run."]
    if accuracy.low <= published <= accuracy.high:
        return [f"{start}: within the interval of this run."]
    side = "more" if accuracy.value > published else "less"
    return [f"{start}: this run reaches {points(accuracy.value - published)} {side}, beyond its interval."]


def sureness(accuracy: FigureRow) -> str:
    """What the interval means."""
    return (
        "With other test images of the same kind, the accuracy would come out a little different. As far as"
        f" {counted(accuracy.n, 'image')} can tell, the true figure lies between"
        f" {accuracy.interval.replace(' to ', ' and ')}: such an interval holds it 95 times in 100."
        " Two models whose figures differ by less than that may be equally good."
    )


def validation(source: str, num_validation: int) -> str:
    """What the net was watched on while it learned."""
    return VALIDATION[source].format(count=counted(num_validation, "image"))


def weak_classes(rows: Sequence[ClassRow], accuracy: FigureRow) -> str:
    """Which classes are clearly weaker than the whole."""
    if len(rows) < 2:
        return ""
    weak = sorted((row for row in rows if row.is_weak), key=lambda row: row.recall.value or 0.0)
    if not weak:
        return "No class is clearly weaker than the others, as far as the test images can tell."
    named = listed([f"{row.name} ({row.recall.text} found)" for row in weak[:MAX_NAMED]])
    more = f", and {len(weak) - MAX_NAMED} more" if len(weak) > MAX_NAMED else ""
    verb = "is the weak class" if len(weak) == 1 else "are the weak classes"
    return f"{named}{more} {verb}: clearly below the {accuracy.text} over all."


def confused(pairs: Sequence[ConfusedPair], names: Sequence[str]) -> str:
    """Which classes are taken for each other most often."""
    if not pairs:
        return "No image was taken for another class."
    first = pairs[0]
    text = (
        f"The most frequent mistake: {names[first.true]} taken for {names[first.predicted]},"
        f" {counted(first.count, 'image')}, {percent(first.share)} of the images of {names[first.true]}."
    )
    back = next((pair for pair in pairs if (pair.true, pair.predicted) == (first.predicted, first.true)), None)
    if back:
        text += f" The other way round it happened for {counted(back.count, 'image')}: the net mixes the two up."
    return text


def fitting(rows: Sequence[Row], metric: str, source: str) -> list[str]:
    """Over-fitting and training length, read from the curves."""
    watched = [
        row for row in rows if f"val_{metric}" in row and metric in row and all(map(math.isfinite, row.values()))
    ]
    if not watched:
        return []
    name = "test" if source == "test" else "validation"
    last = watched[-1]
    sentences = [_gap(last[metric] - last[f"val_{metric}"], last[metric], last[f"val_{metric}"], name)]
    if len(watched) >= 3:
        sentences += [_length(watched, metric, name)]
    return [sentence for sentence in sentences if sentence]


def _gap(gap: float, train: float, held_out: float, name: str) -> str:
    figures = f"{percent(train)} on the images it learned from, {percent(held_out)} on {name} images"
    if gap >= LARGE_GAP:
        return (
            f"The net over-fits: {figures}. A gap of {points(gap)} says that it learned many images by heart;"
            " augmentation, dropout, weight decay or fewer epochs help."
        )
    if gap >= SOME_GAP:
        return f"The net over-fits a little: {figures}, a gap of {points(gap)}. That is common and does little harm."
    if gap <= -SOME_GAP:
        return (
            f"The net does better on {name} images: {figures}. Training figures are taken while the net still changes,"
            " and with dropout and augmentation on, so they come out lower."
        )
    return f"No over-fitting to be seen: {figures}."


def _length(rows: Sequence[Row], metric: str, name: str) -> str:
    losses = [(row["val_loss"], row["epoch"]) for row in rows if "val_loss" in row]
    if not losses:
        return ""
    lowest, best = min(losses)
    last, end = losses[-1]
    if best == end:
        return f"The {name} loss was still falling at the end: more epochs may help."
    if last > 1.05 * lowest and end - best >= 2:
        return (
            f"The {name} loss was lowest after epoch {best:.0f} ({number(lowest)}) and rose to {number(last)} since:"
            " from there on the net learned by heart."
        )
    return f"The {name} loss was lowest after epoch {best:.0f} of {end:.0f} and has stayed level since."


def calibration(error: FigureRow, confidence: float, accuracy: float) -> str:
    """Whether a score can be read as a chance of being right."""
    if error.low == 0:
        return (
            f"The scores can be taken at their word: the calibration error of {error.text} is no larger than chance"
            " gives a perfectly honest model."
        )
    side = "surer than it should be" if confidence > accuracy else "less sure than it could be"
    return (
        f"The model is {side}: its mean score is {percent(confidence)}, and it is right for {percent(accuracy)}. On"
        f" average score and accuracy lie {points(error.value or 0.0)} apart."
    )


def temperature(value: float, before: float, after: float) -> str:
    """What dividing the logits by a temperature would do."""
    if abs(value - 1) < 0.02:
        return f"A temperature fitted on validation images would be {value:.2f}: there is nothing to correct."
    effect = "less sure" if value > 1 else "surer"
    return (
        f"A temperature of {value:.2f}, fitted on validation images, makes the model {effect} and takes"
        f" the log loss on the test images from {number(before)} to {number(after)}."
        " `tinysight calibrate` puts it into the saved model."
    )


def robustness(record: Mapping[str, Any]) -> str:
    """Which disturbances hurt most."""
    worst = sorted(record["corruptions"], key=lambda item: -item["drop"])
    clean = percent(record["clean"]["value"])
    if not worst:
        return ""
    named = listed([f"{spoken(item['name'])} ({points(item['drop'])} less on average)" for item in worst[:2]])
    best = worst[-1]
    return (
        f"Clean images: {clean}. Over all disturbances and strengths: {percent(record['mean_accuracy'])}. The net minds"
        f" {named} most and {spoken(best['name'])} least ({points(best['drop'])})."
    )


def outliers(record: Mapping[str, Any]) -> str:
    """Whether the model notices images of no class that it knows."""
    if not record["sources"]:
        return ""
    worst = max(record["sources"], key=lambda item: item["sure"])
    start = (
        f"Of the test images, the model is sure (a score of {percent(record['sure_at'], 0)} or more) for"
        f" {percent(record['inliers_sure'], 0)}. Of images that show nothing it was taught, it should be sure of none."
    )
    if worst["sure"] < 0.01:
        return f"{start} And so it is: hardly any of them gets such a score."
    return (
        f"{start} Yet it is for {percent(worst['sure'])} of {worst['name']}, most often"
        f" \N{LEFT DOUBLE QUOTATION MARK}{worst['most_common']}\N{RIGHT DOUBLE QUOTATION MARK}."
    )


def suspects(split: str, found: Mapping[str, Any]) -> str:
    """How many labels of one split look wrong, and what such a list is worth."""
    start = f"{split} images: {counted(found['num_suspects'], 'suspect')} among {found['num_images']:,}"
    sentence = f"{start} ({found['how']}){', all in ' + found['csv'] if found['num_suspects'] else ''}."
    if found["num_suspects"] == found["num_flagged"]:
        return sentence
    named = f"Confident learning names {found['num_flagged']:,}, but an accuracy of {percent(found['accuracy'])}"
    if not found["num_suspects"]:
        return f"{sentence} {named} is too low to tell wrong labels from the model's own mistakes."
    return (
        f"{sentence} {named} makes most of them the model's own mistakes. Listed are the worst:"
        f" were {percent(found['assumed_rate'], 0)} of all labels wrong at random,"
        f" {percent(found['expected_precision'], 0)} of the list would be."
    )
