"""How accuracy falls when images get worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError
from tinysight.images import ImageSet
from tinysight.metrics.counts import predicted_classes
from tinysight.metrics.figures import Figure
from tinysight.metrics.intervals import share_figure

Images = NDArray[np.uint8]
Predict = Callable[[Images], NDArray[np.float32]]
# (uint8 images, strength 1 to 5, seed) to uint8 images of the same shape.
Corrupt = Callable[[Images, int, int], Images]

STRENGTHS = (1, 2, 3, 4, 5)
NUM_IMAGES = 2000


@dataclass(frozen=True, kw_only=True, eq=False)
class Corrupted:
    """Accuracy under one corruption.

    Attributes:
        name: the corruption.
        right: bool, shape (5, n): whether each image was classified right at each strength.
    """

    name: str
    right: NDArray[np.bool_]

    @property
    def accuracy(self) -> list[Figure]:
        """A figure for each strength, with Wilson's interval."""
        return [_share(row) for row in self.right]

    @property
    def mean_accuracy(self) -> float:
        """Over the strengths."""
        return float(self.right.mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class Robustness:
    """Accuracy under all corruptions against that on the same images as they are.

    Attributes:
        indices: int64, shape (n,), which images were used.
        clean_right: bool, shape (n,).
        corruptions: in the order in which they were given.
    """

    indices: NDArray[np.int64]
    clean_right: NDArray[np.bool_]
    corruptions: tuple[Corrupted, ...]

    @property
    def clean(self) -> Figure:
        return _share(self.clean_right)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: see docs/evaluation.md."""
        clean = float(self.clean_right.mean())
        return {
            "num_images": len(self.indices),
            "clean": self.clean.to_dict(),
            "mean_accuracy": float(np.mean([item.mean_accuracy for item in self.corruptions])),
            "corruptions": [
                {
                    "name": item.name,
                    "strengths": list(STRENGTHS),
                    "accuracy": [figure.to_dict() for figure in item.accuracy],
                    "mean_accuracy": item.mean_accuracy,
                    "drop": clean - item.mean_accuracy,
                }
                for item in self.corruptions
            ],
        }


def _share(right: NDArray[np.bool_]) -> Figure:
    return share_figure("accuracy", int(right.sum()), len(right))


def measure_robustness(
    predict: Predict,
    images: ImageSet,
    corruptions: Mapping[str, Corrupt],
    *,
    num_images: int = NUM_IMAGES,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> Robustness:
    """Classifies a subset of the images clean, and under each corruption at five strengths.

    Images, strengths and measures follow Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to
    common corruptions and perturbations", arXiv 1903.12261; intervals are Wilson's.

    Args:
        predict: uint8 images to float32 probabilities (n, classes).
        images: the test images.
        corruptions: name -> function of (images, strength, seed).
        num_images: how many are used, each class by its share; all when there are fewer.
        seed: of the subset and of noise.
        say: takes a line for each corruption.

    Raises:
        InvalidValueError: when there is no image or no corruption.
    """
    if len(images) == 0 or not corruptions:
        raise InvalidValueError(
            f"{len(images)} images and {len(corruptions)} corruptions; expected at least one of each"
        )
    indices = stratified_subset(images.labels, num_images, seed)
    chosen = images.take(indices)
    found = []
    for name, corrupt in corruptions.items():
        right = [_right(predict, corrupt(chosen.images, strength, seed), chosen.labels) for strength in STRENGTHS]
        found.append(Corrupted(name=name, right=np.stack(right)))
        say(f"robustness: {name} {found[-1].mean_accuracy:.3f}")
    return Robustness(
        indices=indices, clean_right=_right(predict, chosen.images, chosen.labels), corruptions=tuple(found)
    )


def _right(predict: Predict, images: Images, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.asarray(predicted_classes(predict(images)) == labels)


def stratified_subset(labels: NDArray[np.integer], num_images: int, seed: int) -> NDArray[np.int64]:
    """Positions of `num_images` images with each class by its share, to the nearest image: int64, sorted.

    All positions when there are no more images than that.

    Raises:
        InvalidValueError: when `num_images` is below 1.
    """
    if num_images < 1:
        raise InvalidValueError(f"num_images is {num_images}; expected 1 or more")
    if len(labels) <= num_images:
        return np.arange(len(labels))
    # Sorted by class and by chance within it, every k-th image gives each class its share.
    order = np.lexsort((np.random.PCG64(seed).random_raw(len(labels)), labels))
    return np.sort(order[np.arange(num_images) * len(labels) // num_images])


def corruption_examples(image: Images, corruptions: Mapping[str, Corrupt], seed: int = 0) -> Images:
    """One image clean and at each strength.

    Args:
        image: uint8, shape (height, width, channels).
        corruptions: name -> function of (images, strength, seed).
        seed: of noise.

    Returns:
        uint8, shape (corruptions, 6, height, width, channels).
    """
    batch = image[np.newaxis]
    return np.stack(
        [
            np.concatenate([batch, *(corrupt(batch, strength, seed) for strength in STRENGTHS)])
            for corrupt in corruptions.values()
        ]
    )
