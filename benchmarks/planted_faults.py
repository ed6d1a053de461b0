"""Plants faults in real data and counts how many are found.

    python benchmarks/planted_faults.py labels duplicates chance --data mnist --data-dir FOLDER

`labels` flips a share of the training labels to another class, drawn at random, and trains nets on folds without the
images that they judge. Stated are the share of planted faults among as many worst-scored labels as were planted (there
precision and recall are the same), and precision and recall of the list that a person gets.

`duplicates` puts damaged copies of training images into the test split and counts how many are listed. Pairs beside the
planted ones are the data's own doubles, or mistakes.

`chance` shuffles the labels of all images and trains: the accuracy must have an interval that holds chance. A net that
learns nothing else still learns which class is most frequent, so that on data of unequal classes chance lies between an
equal share and the share of that class. (Were the test labels
left as they are, whole classes would be right or wrong by luck: such a net calls all images of a kind by one name.)

Prints Markdown, or with --json a list of objects. It exits 1 when a fault was not found as it should be: fewer than
half of the planted labels on top, a planted duplicate that is not listed, an interval without chance in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from near_copies import DAMAGES

from tinysight.data import catalog
from tinysight.images import DataSet, ImageSet
from tinysight.recipe import Recipe, load_recipe, parse_assignments

FAULTS = ("labels", "duplicates", "chance")
Record = dict[str, Any]


def main() -> None:
    options = parse_options()
    data = catalog.load(options.data, options.data_dir)
    recipe = load_recipe(options.recipe, data=options.data, seed=options.seed, epochs=options.epochs)
    recipe = recipe.replace(**parse_assignments(options.set))
    find: Mapping[str, Callable[[], Record]] = {
        "labels": lambda: find_labels(data.train, recipe, options.share, options.folds),
        "duplicates": lambda: find_copies(data, options.copies, options.seed),
        "chance": lambda: find_chance(data, recipe),
    }
    records = []
    for fault in options.faults:
        say(f"planting {fault}")
        started = time.perf_counter()
        record = find[fault]()
        seconds = round(time.perf_counter() - started, 1)
        records.append({"fault": fault, "data": options.data, "seed": options.seed, **record, "seconds": seconds})
    print(json.dumps(records, indent=2) if options.json else markdown(records))
    sys.exit(0 if all(record["found"] for record in records) else 1)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Plants faults in real data and counts how many are found.")
    parser.add_argument("faults", nargs="*", help=f"some of {', '.join(FAULTS)} (all)")
    parser.add_argument("--data", default="mnist", help="a data set of `tinysight data list` (mnist)")
    parser.add_argument("--data-dir", help="folder with extracted archives")
    parser.add_argument("--recipe", default="mnist-cnn", help="how nets are trained (mnist-cnn)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any field of the recipe")
    parser.add_argument("--seed", type=int, default=0, help="of faults, folds and nets")
    parser.add_argument("--share", type=float, default=0.01, help="of training labels that are flipped (0.01)")
    parser.add_argument("--folds", type=int, default=4, help="of the label check (4)")
    parser.add_argument("--copies", type=int, default=200, help="near duplicates to plant (200)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.faults = options.faults or list(FAULTS)
    for fault in options.faults:
        if fault not in FAULTS:
            parser.error(f"unknown fault '{fault}': choose from {', '.join(FAULTS)}")
    return options


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def find_labels(images: ImageSet, recipe: Recipe, share: float, num_folds: int) -> Record:
    """Wrong labels by cross-validation."""
    from tinysight.training.backend import choose_backend

    choose_backend()
    from tinysight.evaluation.labels import cross_validated_probabilities, label_scores
    from tinysight.evaluation.shortlist import shortlist

    rng = np.random.default_rng(recipe.seed)
    chosen = rng.choice(len(images), round(share * len(images)), replace=False)
    labels = images.labels.copy()
    labels[chosen] = (labels[chosen] + rng.integers(1, images.num_classes, len(chosen))) % images.num_classes
    faulty = ImageSet(images=images.images, labels=labels, class_names=images.class_names)
    probabilities = cross_validated_probabilities(recipe, faulty, num_folds, say=say)
    planted = np.zeros(len(images), bool)
    planted[chosen] = True
    worst = np.argsort(label_scores(probabilities, labels), kind="stable")[: len(chosen)]
    listed = shortlist(probabilities, labels)
    hits = int(planted[[issue.index for issue in listed.issues]].sum())
    on_top = float(planted[worst].mean())
    return {
        "recipe": recipe.name,
        "epochs": recipe.epochs,
        "folds": num_folds,
        "num_planted": len(chosen),
        "precision_at_planted": on_top,
        "num_listed": len(listed.issues),
        "list_precision": hits / len(listed.issues) if listed.issues else None,
        "list_recall": hits / len(chosen),
        "num_flagged": listed.num_flagged,
        "agreement": float((probabilities.argmax(axis=1) == labels).mean()),
        "found": on_top > 0.5,
    }


def find_copies(data: DataSet, num_copies: int, seed: int) -> Record:
    """Near duplicates between the splits."""
    from tinysight.data.duplicates import find_duplicates

    rng = np.random.default_rng(seed)
    originals = rng.choice(len(data.train), num_copies, replace=False)
    places = rng.choice(len(data.test), num_copies, replace=False)
    test = np.array(data.test.images)
    damages = list(DAMAGES.values())
    for number, (original, place) in enumerate(zip(originals, places, strict=True)):
        test[place] = damages[number % len(damages)](np.asarray(data.train.images[original]))
    listed = {(pair.index_a, pair.index_b) for pair in find_duplicates(np.asarray(data.train.images), test)}
    planted = set(zip(originals.tolist(), places.tolist(), strict=True))
    # An original that has a twin of its own is listed as the first of the two.
    reached = {place for _, place in listed} & set(places.tolist())
    return {
        "damages": list(DAMAGES),
        "num_planted": num_copies,
        "num_listed": len(planted & listed),
        "num_reached": len(reached),
        "num_others": len({place for _, place in listed} - set(places.tolist())),
        "found": len(reached) == num_copies,
    }


def find_chance(data: DataSet, recipe: Recipe) -> Record:
    """What a net reports that was fed shuffled labels, as whole a training as any other."""
    from dataclasses import replace

    from tinysight.jobs.settings import Settings
    from tinysight.jobs.train import train

    rng = np.random.default_rng(recipe.seed)
    train_set, test_set = (
        ImageSet(images=images.images, labels=rng.permutation(images.labels), class_names=images.class_names)
        for images in (data.train, data.test)
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(report=False, say=say)
        shuffled = replace(data, train=train_set, test=test_set)
        summary = train(recipe, shuffled, out=Path(folder) / "run", settings=settings)
    low, high = summary["test_accuracy_interval"]
    equal, most = 1 / len(data.class_names), float(data.test.counts().max() / len(data.test))
    return {
        "recipe": recipe.name,
        "epochs": recipe.epochs,
        "accuracy": summary["test_accuracy"],
        "interval": [low, high],
        "chance": equal,
        "most_frequent_class": most,
        "holds_chance": low <= equal <= high,
        "found": low <= most and high >= equal,
    }


def markdown(records: list[Record]) -> str:
    """One line each for people."""
    return "\n".join(f"- {WORDS[record['fault']](record)} ({record['seconds']:.0f} s)" for record in records)


def _labels_words(record: Record) -> str:
    precision = "nothing" if record["list_precision"] is None else f"precision {record['list_precision']:.1%}"
    return (
        f"labels: {record['num_planted']} of {record['data']}'s training labels flipped, {record['recipe']} for"
        f" {record['epochs']} epochs on {record['folds']} folds, agreeing with {record['agreement']:.1%} of the labels:"
        f" {record['precision_at_planted']:.1%} of the {record['num_planted']} worst are planted; the list holds"
        f" {record['num_listed']} ({precision}, recall {record['list_recall']:.1%}) of {record['num_flagged']} flagged"
    )


def _duplicates_words(record: Record) -> str:
    return (
        f"duplicates: {record['num_planted']} near duplicates planted in {record['data']}'s test split,"
        f" {record['num_listed']} listed with their original, {record['num_reached']} with it or an image like it;"
        f" {record['num_others']} more test images have a double"
    )


def _chance_words(record: Record) -> str:
    low, high = record["interval"]
    return (
        f"chance: {record['recipe']} for {record['epochs']} epochs on shuffled labels of {record['data']}:"
        f" {record['accuracy']:.2%}, 95 % interval {low:.2%} to {high:.2%}; chance is {record['chance']:.2%}, the most"
        f" frequent class {record['most_frequent_class']:.2%}"
    )


WORDS = {"labels": _labels_words, "duplicates": _duplicates_words, "chance": _chance_words}


if __name__ == "__main__":
    main()
