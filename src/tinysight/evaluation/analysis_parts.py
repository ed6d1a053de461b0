"""The parts of an analysis: each gives a record of JSON values and the arrays that belong to it.

Their fields are described in docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.data import catalog
from tinysight.data.duplicates import Duplicate, find_duplicates
from tinysight.data.validation import read_split
from tinysight.errors import DataError
from tinysight.evaluation.labels import LabelIssue, cross_validated_probabilities, write_issues
from tinysight.evaluation.outliers import EDGES, NUM_EXAMPLES, SURE_AT, histogram, score_outliers, sure_share
from tinysight.evaluation.predictions import Predictions
from tinysight.evaluation.robustness import corruption_examples, measure_robustness
from tinysight.evaluation.shortlist import Shortlist, shortlist
from tinysight.images import DataSet, ImageSet
from tinysight.metrics.counts import predicted_classes
from tinysight.metrics.intervals import share_figure
from tinysight.recipe import load_recipe
from tinysight.runs import Run

Arrays = dict[str, NDArray[Any]]
Measured = tuple[dict[str, Any], Arrays]

MAX_SUSPECTS, MAX_PAIRS, MAX_PICTURES = 200, 500, 60
MAX_OTHER_DATA = 2
# A record made in another way is measured anew.
LABEL_METHOD = "shortlist"


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What is analysed, and how thoroughly; the fields are those of `tinysight.evaluation.analysis.analyze`."""

    run: Run
    data: DataSet
    predictions: dict[str, Predictions]
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    num_images: int
    label_folds: int
    seed: int
    data_dir: str | Path | None
    say: Callable[[str], None]

    def images_of(self, split: str) -> ImageSet:
        """The images of a split as the run used it; "train" is the data set's own training split."""
        if split == "test":
            return self.data.test
        if split == "train":
            return self.data.train
        _, held_out = read_split(self.run.splits)
        if len(held_out):
            return self.data.train.take(held_out)
        if self.data.validation is None:
            raise DataError(f"{self.data.name} has no validation split, which the run was validated on")
        return self.data.validation


def measure_robustness_part(subject: Subject, key: dict[str, Any]) -> Measured:
    from tinysight.evaluation.corruptions import CORRUPTIONS

    test = subject.data.test
    found = measure_robustness(
        subject.predict, test, CORRUPTIONS, num_images=subject.num_images, seed=subject.seed, say=subject.say
    )
    arrays: Arrays = {f"{_array_name(item.name)}_right": item.right for item in found.corruptions}
    arrays |= {
        "examples": corruption_examples(test.images[found.indices[0]], CORRUPTIONS, subject.seed),
        "indices": found.indices,
    }
    return {"split": "test", **found.to_dict()}, arrays


def measure_outliers(subject: Subject, key: dict[str, Any]) -> Measured:
    test, stored = subject.data.test, subject.predictions["test"]
    others, skipped = _other_data(subject)
    found = score_outliers(
        subject.predict, test.images, stored.probabilities, stored.labels, others=others, seed=subject.seed
    )
    record = {
        "num_inliers": len(test),
        "sure_at": SURE_AT,
        "inliers_sure": sure_share(stored.probabilities),
        "edges": [round(float(edge), 4) for edge in EDGES],
        "inlier_counts": histogram(stored.probabilities),
        "sources": [item.to_dict(subject.data.class_names) for item in found],
        "skipped": skipped,
    }
    arrays: Arrays = {}
    for item in found:
        name, shown = _array_name(item.name), slice(NUM_EXAMPLES)
        arrays[f"{name}_examples"] = item.images[shown]
        arrays[f"{name}_scores"] = item.top_scores[shown]
        arrays[f"{name}_predicted"] = predicted_classes(item.probabilities[shown])
    return record, arrays


def _other_data(subject: Subject) -> tuple[dict[str, NDArray[np.uint8]], list[dict[str, str]]]:
    """Test images of other data sets that are on this machine, in the model's shape; and why others are not used."""
    from tinysight.pixels import array_to_input

    found: dict[str, NDArray[np.uint8]] = {}
    skipped = []
    for name in catalog.CATALOG:
        if name == subject.data.name or len(found) == MAX_OTHER_DATA:
            continue
        reason = "it is not on this machine"
        if catalog.is_available_offline(name, subject.data_dir):
            try:
                other = catalog.load(name, subject.data_dir, download=False)
            except DataError as error:
                reason = str(error)
            else:
                shared = set(other.class_names) & set(subject.data.class_names)
                if not shared:
                    found[name] = array_to_input(np.asarray(other.test.images), subject.data.image_shape)
                    continue
                reason = f"it has classes of the model: {', '.join(sorted(shared)[:3])}"
        skipped.append({"name": name, "reason": reason})
    return found, skipped


def measure_labels(subject: Subject, key: dict[str, Any]) -> Measured:
    checked = {
        split: (shortlist(stored.probabilities, stored.labels), len(stored.labels), "the run's own predictions")
        for split, stored in subject.predictions.items()
    }
    if key["folds"]:
        checked["train"] = _training_issues(subject, key["folds"])
    splits, rows = {}, []
    for split, (found, num_images, how) in checked.items():
        images = subject.images_of(split)
        path = subject.run.label_issues(split)
        write_issues(path, found.issues, images.class_names, images.sources)
        splits[split] = {"num_images": num_images, **found.to_dict(), "csv": path.name, "how": how}
        rows += [(issue, split, images) for issue in found.issues[:MAX_SUSPECTS]]
    worst = sorted(rows, key=lambda row: (row[0].score, row[1], row[0].index))[:MAX_SUSPECTS]
    pictures = [images.images[issue.index] for issue, _, images in worst[:MAX_PICTURES]]
    record = {"splits": splits, "suspects": [_suspect(*row) for row in worst]}
    return record, {"images": _stacked(pictures, subject)}


def _label_key(subject: Subject, kept: dict[str, Any]) -> dict[str, Any]:
    """A check of the training labels costs several trainings: it is kept when a later call asks for none."""
    return {"folds": subject.label_folds or kept.get("folds", 0), "method": LABEL_METHOD}


def _training_issues(subject: Subject, num_folds: int) -> tuple[Shortlist, int, str]:
    from dataclasses import replace

    from tinysight.training.backend import choose_backend

    choose_backend()
    used, _ = read_split(subject.run.splits)
    images = subject.data.train.take(used)
    recipe = load_recipe(str(subject.run.recipe))
    probabilities = cross_validated_probabilities(recipe, images, num_folds, say=subject.say)
    found = shortlist(probabilities, images.labels)
    how = f"{num_folds} nets of the run's recipe, each trained without the images that it judges"
    issues = tuple(replace(issue, index=int(used[issue.index])) for issue in found.issues)
    return replace(found, issues=issues), len(images), how


def _suspect(issue: LabelIssue, split: str, images: ImageSet) -> dict[str, Any]:
    return {
        "split": split,
        "index": issue.index,
        "source": images.sources[issue.index] if images.sources else None,
        "given": images.class_names[issue.given],
        "given_index": issue.given,
        "suggested": images.class_names[issue.suggested],
        "suggested_index": issue.suggested,
        "score": issue.score,
        "given_probability": issue.given_probability,
        "suggested_probability": issue.suggested_probability,
    }


def measure_duplicates(subject: Subject, key: dict[str, Any]) -> Measured:
    train = subject.data.train.take(read_split(subject.run.splits)[0])
    sets = {"train": train, **{split: subject.images_of(split) for split in subject.predictions}}
    names = [name for name in ("train", "validation", "test") if name in sets]
    between, rows = [], []
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            found = find_duplicates(sets[first].images, sets[second].images)
            between.append(_between(first, second, sets, found))
            rows += [(first, second, pair) for pair in found]
    rows.sort(key=lambda row: (row[2].kind, -row[2].similarity))
    seen = np.zeros(len(subject.data.test), np.bool_)
    seen[[pair.index_b for first, second, pair in rows if (first, second) == ("train", "test")]] = True
    right = predicted_classes(subject.predictions["test"].probabilities) == subject.predictions["test"].labels
    shown = rows[:MAX_PICTURES]
    record = {
        "between": between,
        "pairs": [_pair(first, second, pair, sets, subject) for first, second, pair in rows[:MAX_PAIRS]],
        "accuracy_with": share_figure("accuracy", int(right.sum()), len(right)).to_dict(),
        "accuracy_without": share_figure("accuracy", int(right[~seen].sum()), int((~seen).sum())).to_dict(),
    }
    return record, {
        "first_images": _stacked([sets[first].images[pair.index_a] for first, _, pair in shown], subject),
        "second_images": _stacked([sets[second].images[pair.index_b] for _, second, pair in shown], subject),
    }


def _between(first: str, second: str, sets: dict[str, ImageSet], found: list[Duplicate]) -> dict[str, Any]:
    return {
        "first": first,
        "second": second,
        "num_first": len(sets[first]),
        "num_second": len(sets[second]),
        "num_exact": sum(pair.kind == "exact" for pair in found),
        "num_near": sum(pair.kind == "near" for pair in found),
        "num_affected": len({pair.index_b for pair in found}),
    }


def _pair(first: str, second: str, pair: Duplicate, sets: dict[str, ImageSet], subject: Subject) -> dict[str, Any]:
    labels = [int(sets[first].labels[pair.index_a]), int(sets[second].labels[pair.index_b])]
    used, _ = read_split(subject.run.splits)
    return {
        "first": first,
        "first_index": int(used[pair.index_a]) if first == "train" else pair.index_a,
        "second": second,
        "second_index": pair.index_b,
        "kind": pair.kind,
        "similarity": float(pair.similarity),
        "mirrored": pair.mirrored,
        "first_label": subject.data.class_names[labels[0]],
        "second_label": subject.data.class_names[labels[1]],
        "same_label": labels[0] == labels[1],
    }


def _stacked(pictures: list[NDArray[np.uint8]], subject: Subject) -> NDArray[np.uint8]:
    return np.stack(pictures) if pictures else np.empty((0, *subject.data.image_shape), np.uint8)


def _array_name(name: str) -> str:
    return name.replace(" ", "_").replace("-", "_")


def _measure_explanations(subject: Subject, key: dict[str, Any]) -> Measured:
    # Imports Keras, which needs its backend chosen first.
    from tinysight.training.backend import choose_backend

    choose_backend()
    from tinysight.evaluation.analysis_explain import measure_explanations

    return measure_explanations(subject.run, subject.data.test, subject.predictions["test"])


# Part -> (what it depends on beside the model, given what it was measured with before; how it is measured).
PARTS: dict[
    str,
    tuple[Callable[[Subject, dict[str, Any]], dict[str, Any]], Callable[[Subject, dict[str, Any]], Measured]],
] = {
    "labels": (_label_key, measure_labels),
    "duplicates": (lambda subject, kept: {}, measure_duplicates),
    "explain": (lambda subject, kept: {}, _measure_explanations),
    "outliers": (lambda subject, kept: {"seed": subject.seed}, measure_outliers),
    "robustness": (
        lambda subject, kept: {"seed": subject.seed, "num_images": subject.num_images},
        measure_robustness_part,
    ),
}
