"""`tinysight lr-find`: which learning rate a recipe wants on this data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinysight.data.validation import split_for_training
from tinysight.errors import InvalidValueError
from tinysight.files import write_json
from tinysight.images import DataSet
from tinysight.recipe import Recipe
from tinysight.report.range_figure import MARK

if TYPE_CHECKING:
    from tinysight.training.rate_choice import RangeTest, RateChoice

NUM_STEPS, LOWEST, HIGHEST = 200, 1e-5, 10.0
ENDINGS = (".png", ".svg")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of it.

    Attributes:
        recipe, data: what was tried on what.
        test: rates and losses.
        choice: the rate, and how it was read.
        plot, record: files with the curve as a picture, and as JSON.
    """

    recipe: Recipe
    data: str
    test: RangeTest
    choice: RateChoice
    plot: Path
    record: Path

    @property
    def kernel_rate(self) -> float | None:
        """What goes with the suggested rate where convolutions have one of their own, as it was in the test."""
        recipe = self.recipe
        if recipe.optimizer != "muon":
            return None
        return self.choice.suggested * recipe.kernel_rate / recipe.learning_rate

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it and the record holds it."""
        from tinysight.training.rate_choice import smooth

        return {
            "made_by": f"{MARK} lr-find",
            "recipe": self.recipe.name,
            "data": self.data,
            "optimizer": self.recipe.optimizer,
            "batch_size": self.recipe.batch_size,
            "seed": self.recipe.seed,
            "recipe_rate": self.recipe.learning_rate,
            "suggested_rate": self.choice.suggested,
            "suggested_kernel_rate": self.kernel_rate,
            "lowest_loss_rate": self.choice.lowest_loss,
            "fall": self.choice.fall,
            "steps": len(self.test.rates),
            "end": self.test.end,
            "rates": self.test.rates.tolist(),
            "losses": self.test.losses.tolist(),
            "smoothed": smooth(self.test.rates, self.test.losses).tolist(),
            "plot": str(self.plot),
        }


def lr_find(
    recipe: Recipe,
    data: DataSet,
    *,
    num_steps: int = NUM_STEPS,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    out: str | Path | None = None,
    device: str = "auto",
) -> Found:
    """Trains for a few steps at rising rates, on training images only, and reads a rate from the losses.

    Args:
        recipe: how; its schedule does not matter.
        data: what.
        num_steps: steps in all.
        lowest, highest: rates of the first and the last step.
        out: the picture, .png or .svg; None for lr-find-RECIPE.png in the current folder. The record lies beside it, as
            .json. Only earlier files of this verb are overwritten.
        device: "auto", "cpu", "gpu" or "gpu:N".

    Returns:
        Rates and losses, the rate that was read from them, and the two files.

    Raises:
        InvalidValueError: for steps or rates out of range, or files that are in the way.
        ModelError: when the loss fell at no rate.
        TinysightError: as `train`, for what does not fit together in a recipe.
    """
    from tinysight.training.rate_choice import MIN_STEPS

    if num_steps < MIN_STEPS:
        raise InvalidValueError(f"{num_steps} steps; expected at least {MIN_STEPS} to read a rate from")
    if not 0 < lowest < highest < math.inf:
        raise InvalidValueError(f"rates from {lowest:g} to {highest:g}; expected two above 0, the lowest first")
    plot = Path(out) if out is not None else Path(f"lr-find-{recipe.name}.png")
    if plot.suffix.lower() not in ENDINGS:
        raise InvalidValueError(f"'{plot}' does not end in .png or .svg, which the picture is written in")
    record = plot.with_suffix(".json")
    for path in (plot, record):
        _check_free(path)
    test = _run(recipe, data, num_steps, lowest, highest, device)
    from tinysight.report.range_figure import range_figure, save_range_figure
    from tinysight.training.rate_choice import choose_rate

    found = Found(recipe=recipe, data=data.name, test=test, choice=choose_rate(test), plot=plot, record=record)
    save_range_figure(range_figure(test, found.choice, f"{recipe.name} on {data.name}"), plot)
    write_json(record, found.to_dict())
    return found


def _run(recipe: Recipe, data: DataSet, num_steps: int, lowest: float, highest: float, device: str) -> RangeTest:
    from tinysight.training.backend import choose_backend

    choose_backend(device)
    import keras

    from tinysight.models.registry import build_training_net
    from tinysight.training.augment import check_augmentation, resolve_flip
    from tinysight.training.range_test import run_range_test

    check_augmentation(recipe, data.image_shape)
    recipe = resolve_flip(recipe, data.class_names)
    split = split_for_training(recipe, data)
    keras.utils.set_random_seed(recipe.seed)
    net = build_training_net(recipe, data.image_shape, len(data.class_names))
    return run_range_test(
        recipe, net, split.images, split.train_indices, lowest=lowest, highest=highest, num_steps=num_steps
    )


def _check_free(path: Path) -> None:
    if not path.exists():
        return
    if path.is_file():
        with path.open("rb") as file:
            if MARK.encode() in file.read(4096):
                return
    raise InvalidValueError(f"'{path}' exists and is none of our curves: name another file with --out")
