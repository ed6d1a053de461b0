"""Scores for inputs that are none of the classes: noise, torn images, another data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.metrics.calibration import logits_of
from tinysight.metrics.counts import predicted_classes
from tinysight.metrics.figures import Figure, check_predictions
from tinysight.metrics.selective import OUTLIER_SCORES, auroc_figure

Images = NDArray[np.uint8]
Predict = Callable[[Images], NDArray[np.float32]]

NUM_OUTLIERS = 1000
NUM_EXAMPLES = 8
# Images whose values are counted together.
AT_ONCE = 1000
# A top score from here on is what a person would call sure.
SURE_AT = 0.9
EDGES = np.linspace(0, 1, 21)
# The scores that probabilities are enough for.
SCORES = ("probability", "entropy")


def uniform_noise(images: Images, num_images: int, seed: int) -> Images:
    """Every value of every pixel equally likely."""
    return np.random.default_rng(seed).integers(0, 256, (num_images, *images.shape[1:]), dtype=np.uint8)


def gaussian_noise(images: Images, num_images: int, seed: int) -> Images:
    """Bell-shaped noise with the mean and spread that each channel of the data has."""
    mean, spread = _moments(images)
    noise = np.random.default_rng(seed).normal(mean, spread, (num_images, *images.shape[1:]))
    return np.asarray(np.clip(np.rint(noise), 0, 255), np.uint8)


def _moments(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel, float64 (channels,), from how often each value is there.

    Images may lie on disk. Sums in float32 would stand still from some ten million pixels on.
    """
    counts = np.zeros((images.shape[3], 256))
    for start in range(0, len(images), AT_ONCE):
        part = np.asarray(images[start : start + AT_ONCE])
        counts += [np.bincount(part[..., channel].ravel(), minlength=256) for channel in range(images.shape[3])]
    shares, values = counts / counts.sum(axis=1, keepdims=True), np.arange(256)
    mean = shares @ values
    return mean, np.sqrt((shares * (values - mean[:, None]) ** 2).sum(axis=1))


def shuffled_patches(images: Images, num_images: int, seed: int) -> Images:
    """Images cut in 4 x 4 pieces that are put back in another order: the same colours and textures, no object."""
    generator = np.random.default_rng(seed)
    chosen = images[generator.integers(0, len(images), num_images)]
    size = max(1, min(images.shape[1:3]) // 4)
    rows, columns = images.shape[1] // size, images.shape[2] // size
    whole = chosen[:, : rows * size, : columns * size]
    pieces = whole.reshape(num_images, rows, size, columns, size, -1).swapaxes(2, 3)
    pieces = pieces.reshape(num_images, rows * columns, size, size, -1)
    order = generator.random((num_images, rows * columns)).argsort(axis=1)
    pieces = pieces[np.arange(num_images)[:, None], order].reshape(num_images, rows, columns, size, size, -1)
    # What does not fill a piece, at the right and below, stays as it is.
    result = chosen.copy()
    result[:, : rows * size, : columns * size] = pieces.swapaxes(2, 3).reshape(whole.shape)
    return result


# Name -> (images like the data's, how many, seed) to images that are none of the classes.
SOURCES: dict[str, Callable[[Images, int, int], Images]] = {
    "uniform noise": uniform_noise,
    "gaussian noise": gaussian_noise,
    "shuffled patches": shuffled_patches,
}
WORDS = {
    "uniform noise": "pixels of any value",
    "gaussian noise": "noise with the mean and spread of the data",
    "shuffled patches": "test images, cut in pieces and put together wrongly",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class OutlierScores:
    """What a model says about inputs of one kind that are none of its classes.

    Attributes:
        name: the kind.
        images: uint8, shape (n, height, width, channels).
        probabilities: float32, shape (n, classes).
        auroc: score -> the chance that such an input scores as less familiar than a test image does.
    """

    name: str
    images: Images
    probabilities: NDArray[np.float32]
    auroc: dict[str, Figure]

    @property
    def top_scores(self) -> NDArray[np.float32]:
        """float32, shape (n,)."""
        return np.asarray(self.probabilities.max(axis=1))

    def to_dict(self, class_names: tuple[str, ...]) -> dict[str, Any]:
        """JSON values: see docs/evaluation.md."""
        predicted = np.bincount(predicted_classes(self.probabilities), minlength=len(class_names))
        return {
            "name": self.name,
            "words": WORDS.get(self.name, f"images of {self.name}"),
            "num_images": len(self.images),
            "sure": sure_share(self.probabilities),
            "mean_top_score": float(self.top_scores.mean()),
            "counts": histogram(self.probabilities),
            "most_common": class_names[int(predicted.argmax())],
            "most_common_share": float(predicted.max() / len(self.images)),
            "auroc": {name: figure.to_dict() for name, figure in self.auroc.items()},
        }


def sure_share(probabilities: NDArray[np.floating]) -> float:
    """The share of images with a top score of `SURE_AT` or more."""
    return float((probabilities.max(axis=1) >= SURE_AT).mean())


def histogram(probabilities: NDArray[np.floating]) -> list[int]:
    """How many top scores lie between each two of `EDGES`."""
    top = np.minimum(probabilities.max(axis=1), 1)
    return [int(count) for count in np.histogram(top, EDGES)[0]]


def score_outliers(
    predict: Predict,
    images: Images,
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    others: Mapping[str, Images] | None = None,
    num_images: int = NUM_OUTLIERS,
    seed: int = 0,
) -> list[OutlierScores]:
    """How well a model's own doubt tells inputs of no class from test images.

    Args:
        predict: uint8 images to float32 probabilities (n, classes).
        images: uint8, shape (n, height, width, channels), the test images.
        probabilities: of these, as stored: they are not computed again.
        labels: of these; only their number is looked at.
        others: name -> images of another data set, in the model's shape.
        num_images: how many of each kind.
        seed: of noise and order.

    Returns:
        A record for each of `SOURCES`, then for each of `others`.

    Raises:
        InvalidValueError: when the predictions are none.
    """
    rows, _ = check_predictions(probabilities, labels)
    inliers = {name: OUTLIER_SCORES[name](logits_of(rows)) for name in SCORES}
    kinds = {name: make(images, num_images, seed) for name, make in SOURCES.items()}
    kinds |= {name: _some(found, num_images, seed) for name, found in (others or {}).items()}
    return [_scored(name, found, predict(found), inliers) for name, found in kinds.items()]


def _some(images: Images, num_images: int, seed: int) -> Images:
    if len(images) <= num_images:
        return images
    chosen = np.random.default_rng(seed).choice(len(images), num_images, replace=False)
    return images[np.sort(chosen)]


def _scored(
    name: str, images: Images, probabilities: NDArray[np.float32], inliers: Mapping[str, NDArray[np.float64]]
) -> OutlierScores:
    logits = logits_of(probabilities)
    auroc = {score: auroc_figure("auroc", known, OUTLIER_SCORES[score](logits)) for score, known in inliers.items()}
    return OutlierScores(name=name, images=images, probabilities=probabilities, auroc=auroc)
