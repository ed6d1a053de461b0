"""What beginning with a trained run saves: epochs and processor time to the accuracy of a training from nothing.

python benchmarks/start_from_run.py --data mnist --data-dir DATA

A net is trained on some classes of a data set, with all of their training images. Then a few images each of other
classes are learned twice, from nothing and from that run (`tinysight train --from`), and scored after each epoch on the
test images of these classes: once where most classes are the same and once where none is. Wanted is the accuracy that
training from nothing has at its end, the mean of its last three epochs; counted is how many epochs come before it. The
recipe's learning rate is constant, so that an epoch does not know how many follow. The figures go into
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinysight import train
from tinysight.data import catalog
from tinysight.images import DataSet, ImageSet
from tinysight.training.backend import choose_backend
from tinysight.training.history import read_history

RECIPES = {"mnist": "mnist-cnn", "mnist-5k": "mnist-cnn", "cifar10": "tensorflow"}
# Which classes the run knows, and which are learned then.
CASES = {
    "6 of 8 classes the same": (range(8), range(2, 10)),
    "none of 5 classes the same": (range(5), range(5, 10)),
}


@dataclasses.dataclass(frozen=True)
class Curve:
    """A training, epoch by epoch.

    Attributes:
        accuracies: on the test images, after each epoch.
        seconds: processor time of an epoch's steps, the median.
    """

    accuracies: list[float]
    seconds: float

    def epochs_to(self, wanted: float) -> int | None:
        """The first epoch, from 1, that is as good; None where none is."""
        good = [epoch for epoch, accuracy in enumerate(self.accuracies, 1) if accuracy >= wanted]
        return good[0] if good else None

    @property
    def end(self) -> float:
        return statistics.mean(self.accuracies[-3:])


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same images learned from nothing and from a run, with one seed."""

    nothing: Curve
    run: Curve

    def epochs(self) -> tuple[int, int | None]:
        before = self.nothing.epochs_to(self.nothing.end)
        assert before is not None
        return before, self.run.epochs_to(self.nothing.end)


def some_classes(images: ImageSet, classes: Sequence[int], per_class: int | None, seed: int) -> ImageSet:
    """The images of some classes, which become 0, 1, ...; of each all or `per_class`, drawn by `seed`."""
    random = np.random.default_rng(seed)
    rows = [np.flatnonzero(images.labels == label) for label in classes]
    if per_class is not None:
        rows = [np.sort(random.choice(each, per_class, replace=False)) for each in rows]
    return ImageSet(
        images=images.images[np.concatenate(rows)],
        labels=np.repeat(np.arange(len(classes)), [len(each) for each in rows]).astype(np.int32),
        class_names=tuple(images.class_names[label] for label in classes),
    )


def data_of(data: DataSet, classes: Sequence[int], per_class: int | None, seed: int) -> DataSet:
    test = some_classes(data.test, classes, None, 0)
    few = some_classes(data.train, classes, per_class, seed)
    return DataSet(name=f"{data.name} in part", train=few, test=test, validation=test, origin=data.origin)


def learn(data: DataSet, recipe: str, seed: int, epochs: int, out: Path, start: Path | None = None) -> Curve:
    """Trains; every epoch is scored on the test images."""
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.begun = time.process_time()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.end = time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds.append(self.end - self.begun)

    clock = Clock()
    run = train(
        recipe, data=data, out=out, quiet=True, report=False, device="cpu", callbacks=[clock], start=start,
        seed=seed, epochs=epochs, validation="stratified",
    )  # fmt: skip
    return Curve([row["val_accuracy"] for row in read_history(run.history)], statistics.median(clock.seconds))


def measure(data: DataSet, recipe: str, options: argparse.Namespace) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for case, (known, new) in CASES.items():
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                learn(data_of(data, known, None, seed), recipe, seed, options.known_epochs, place / "known")
                few = data_of(data, new, options.per_class, seed)
                pair = Pair(
                    learn(few, recipe, seed, options.epochs, place / "nothing"),
                    learn(few, recipe, seed, options.epochs, place / "from", start=place / "known"),
                )
            found.setdefault(case, []).append(pair)
            before, after = pair.epochs()
            print(f"{case}, seed {seed}: {pair.nothing.end:.4f}, {before} and {after} epochs", file=sys.stderr)
    return found


def section(options: argparse.Namespace, recipe: str, found: dict[str, list[Pair]]) -> list[str]:
    """What the page says, Markdown."""
    lines = [
        f"## Beginning with a trained run: {options.data}",
        f"`python benchmarks/start_from_run.py --data {options.data} --seeds {options.seeds} --epochs"
        f" {options.epochs}`: `{recipe}`,"
        f" {options.per_class} new images a class, {options.epochs} epochs. For each of {options.seeds} seeds: the"
        " epochs until the accuracy with which training from nothing ends, from nothing and with `--from` a run on all"
        f" images of other classes ({options.known_epochs} epochs).",
        "",
        "| classes | accuracy wanted | epochs from nothing | with `--from` | processor time |"
        " after one epoch, from nothing | with `--from` |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for case, pairs in found.items():
        before, after = zip(*(pair.epochs() for pair in pairs), strict=True)
        ends = [pair.nothing.end for pair in pairs]
        spent = [
            (last or options.epochs) * pair.run.seconds / (first * pair.nothing.seconds)
            for first, last, pair in zip(before, after, pairs, strict=True)
        ]
        at_least = "at least " if None in after else ""
        firsts = [statistics.mean(getattr(pair, side).accuracies[0] for pair in pairs) for side in ("nothing", "run")]
        lines.append(
            f"| {case} | {100 * statistics.mean(ends):.1f} % | {', '.join(map(str, before))} |"
            f" {', '.join('not reached' if each is None else str(each) for each in after)} |"
            f" {at_least}{100 * statistics.mean(spent):.0f} % | {100 * firsts[0]:.1f} % | {100 * firsts[1]:.1f} % |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(RECIPES), default="mnist")
    parser.add_argument("--data-dir", help="folder with extracted archives")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--per-class", type=int, default=100, help="new images of each class")
    parser.add_argument("--epochs", type=int, default=16, help="of the new images")
    parser.add_argument("--known-epochs", type=int, default=2, help="of the run that is begun with")
    parser.add_argument("--rehearse", action="store_true", help="prints the section instead of writing it")
    options = parser.parse_args()
    choose_backend("cpu")
    recipe = RECIPES[options.data]
    lines = section(options, recipe, measure(catalog.load(options.data, options.data_dir), recipe, options))
    print("\n".join(lines))
    if not options.rehearse:
        from own_section import put_section

        put_section(f"start from a run, {options.data}", lines)


if __name__ == "__main__":
    main()
