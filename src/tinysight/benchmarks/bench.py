"""What every measure needs: where things lie, how often, and the two sides as processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinysight.benchmarks.processes import Done, run_process
from tinysight.errors import DataUnavailableError
from tinysight.files import atomic_path
from tinysight.runs import Run

# So many images are enough to see whether everything works.
REHEARSAL_TRAIN, REHEARSAL_TEST = 640, 200
Say = Callable[[str], None]


@dataclass(kw_only=True)
class Bench:
    """One call of the benchmark.

    Attributes:
        folder: scratch; archives lie here and are removed with it.
        kept: where runs lie; None for the scratch folder.
        scripts: where the plain Keras programs lie.
        data_dir: where extracted archives lie; None for the cache.
        rounds: how often the two sides take their turns.
        seeds: trainings of a measure that has only one side.
        rehearse: whether to go through everything once, with few images and one epoch.
        say: takes lines for a person.
        run: what runs a program.
    """

    folder: Path
    scripts: Path
    kept: Path | None = None
    data_dir: str | None = None
    rounds: int = 3
    seeds: int = 3
    rehearse: bool = False
    say: Say = lambda text: None
    run: Callable[[Sequence[str]], Done] = run_process
    num_runs: int = field(default=0, init=False)

    def archive(self, name: str, num_train: int | None = None) -> Path:
        """The data set as the plain programs read it: .npz with x_train, y_train, x_test, y_test, as keras.datasets.

        Args:
            name: of the catalogue.
            num_train: training images, evenly spread; None for all.
        """
        counts = (REHEARSAL_TRAIN, REHEARSAL_TEST) if self.rehearse else (num_train, None)
        path = self.folder / (f"{name}.npz" if counts == (None, None) else f"{name}-{counts[0]}.npz")
        if not path.exists():
            lay_out(name, self.data_dir, path, *counts)
        return path

    def plain(self, script: str, *words: object) -> Done:
        """Runs a plain Keras program."""
        return self.run([sys.executable, str(self.scripts / script), *map(str, words)])

    def module(self, name: str, *words: object) -> Done:
        """Runs a module of `tinysight.benchmarks`."""
        return self.run([sys.executable, "-m", f"tinysight.benchmarks.{name}", *map(str, words)])

    def train(
        self,
        recipe: str,
        data: str | Path,
        seed: int,
        *,
        epochs: int | None = None,
        report: bool = False,
        **fields: object,
    ) -> tuple[Run, Done]:
        """Runs `tinysight train`, without its report unless asked for.

        Args:
            recipe: by name.
            data: name of the recipe's data set, or an archive.
            seed: of everything.
            epochs: instead of the recipe's.
            report: whether with the report page, as `tinysight train` does by default.
            fields: further fields of the recipe.
        """
        self.num_runs += 1
        run = Run((self.kept or self.folder) / f"{recipe}-{self.num_runs}")
        words = ["train", recipe, "--json", "--device", "cpu", "--seed", seed, "--out", run.folder]
        if isinstance(data, Path) or self.rehearse:
            words += ["--data", data if isinstance(data, Path) else self.archive(data)]
        elif self.data_dir is not None:
            words += ["--data-dir", self.data_dir]
        if self.rehearse:
            fields = {**fields, "steps": "none"}
            epochs = min(epochs or 1, 2)
        words += [] if report else ["--no-report"]
        words += [] if epochs is None else ["--epochs", epochs]
        for key, value in fields.items():
            words += ["--set", f"{key}={value}"]
        return run, self.run([sys.executable, "-m", "tinysight", *map(str, words)])

    def epochs_of_plain(self) -> list[int]:
        """What follows the seed on a plain tutorial's command line: nothing, for its own epochs."""
        return [1] if self.rehearse else []


def plain_scripts() -> Path:
    """The folder of the plain Keras programs: inside an installed package, or in the checkout that is imported from.

    Raises:
        DataUnavailableError: where there is neither.
    """
    package = Path(__file__).parent
    for folder in (package / "plain_keras", package.parents[2] / "benchmarks" / "plain_keras"):
        if folder.is_dir():
            return folder
    raise DataUnavailableError(
        "the plain Keras programs to measure against are not installed: run this from a checkout of tinysight, which"
        " has them in benchmarks/plain_keras"
    )


def lay_out(
    name: str, data_dir: str | None, path: Path, num_train: int | None = None, num_test: int | None = None
) -> None:
    """Writes a data set of the catalogue, or so many of its images, as keras.datasets would return it.

    Raises:
        DataError: as `tinysight.data.catalog.load`.
    """
    import numpy as np

    from tinysight.data import catalog

    data = catalog.load(name, data_dir)
    arrays: dict[str, Any] = {}
    for split, images, count in (("train", data.train, num_train), ("test", data.test, num_test)):
        # Evenly spread, as some data sets are sorted by class.
        chosen = slice(None) if count is None else np.linspace(0, len(images) - 1, count).astype(int)
        pixels, labels = images.images[chosen], images.labels[chosen].astype(np.uint8)
        # Grey images come without a channel axis, labels of colour images in a column.
        is_grey = pixels.shape[3] == 1
        arrays[f"x_{split}"] = pixels[..., 0] if is_grey else pixels
        arrays[f"y_{split}"] = labels if is_grey else labels[:, None]
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)
