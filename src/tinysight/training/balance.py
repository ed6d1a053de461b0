"""Classes of unequal size: weights in the loss, or epochs that draw every class alike; and what was done, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.recipe import Recipe

# From here on the largest class is told to be that much larger, even where nothing was done about it.
TOLD_FROM = 2.0


def balanced_weights(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """What an image of each class counts in the loss: images / (classes x images of its class).

    The mean over all images is 1, so that the loss keeps its size. As scikit-learn's `class_weight="balanced"`, after
    King and Zeng, Logistic regression in rare events data, 2001.

    Args:
        counts: int64, shape (num_classes,), training images of each class.

    Returns:
        float32, shape (num_classes,); 0 for a class without images.
    """
    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)


def class_weights(recipe: Recipe, labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float32] | None:
    """The weights that `recipe` asks for, or None where all images count alike."""
    if recipe.class_weights == "none":
        return None
    return balanced_weights(np.bincount(labels, minlength=num_classes).astype(np.int64))


def balanced_order(labels: NDArray[np.int32], seed: int, epoch: int) -> NDArray[np.int64]:
    """As many images as there are, the same number of each class, in an order that is a function of seed and epoch.

    A class that is larger than its share gives other images in every epoch, none of them twice in one; a smaller one
    gives each of its images equally often, give or take one.

    Args:
        labels: int32, shape (n,).

    Returns:
        int64, shape (n,): positions in `labels`.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    counts = np.bincount(labels)
    present = np.flatnonzero(counts)
    shares = np.full(len(present), len(labels) // len(present))
    shares[rng.permutation(len(present))[: len(labels) % len(present)]] += 1
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts[present])[:-1])
    drawn = [_draw(rng, own, share) for own, share in zip(members, shares, strict=True)]
    return rng.permutation(np.concatenate(drawn))


def _draw(rng: np.random.Generator, members: NDArray[Any], share: int) -> NDArray[Any]:
    times, rest = divmod(int(share), len(members))
    return np.concatenate([np.tile(members, times), rng.choice(members, rest, replace=False)])


def balance_words(recipe: Recipe, class_names: Sequence[str], counts: Sequence[int]) -> str:
    """What was done about classes of unequal size, in a sentence; empty where there is nothing to say.

    Args:
        class_names: of all classes.
        counts: training images of each.
    """
    present = [index for index, count in enumerate(counts) if count]
    rare, common = (choose(present, key=lambda index: counts[index]) for choose in (min, max))
    smallest, largest = (f"{class_names[index]} ({counts[index]:,} images)" for index in (rare, common))
    if recipe.class_weights == "balanced":
        weights = balanced_weights(np.asarray(counts, np.int64))
        return (
            f"an image of {smallest} counts {weights[rare]:.3g} times in the loss, one of {largest}"
            f" {weights[common]:.3g} times: images / (classes x images of the class); only the training loss is"
            " weighted, no other figure"
        )
    if recipe.sampling == "balanced":
        share = sum(counts) / len(present)
        return (
            f"every epoch draws the same number of each class, {sum(counts):,} images in all: one of {smallest} is"
            f" seen {share / counts[rare]:.3g} times an epoch, one of {largest} {share / counts[common]:.3g} times;"
            " training loss and accuracy are over these draws, all other figures over images as they are"
        )
    if counts[common] < TOLD_FROM * counts[rare]:
        return ""
    return f"all images count alike: {counts[common] / counts[rare]:,.3g} times as many of {largest} as of {smallest}"
