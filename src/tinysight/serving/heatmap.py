"""What a model looked at, without its insides: parts of the image are covered, and the score is asked again.

Zeiler and Fergus 2013, Visualizing and Understanding Convolutional Networks, section 4.2, arXiv 1311.2901.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tinysight.errors import InvalidValueError

# A patch is as wide as a quarter of the image and moves by half of that: 9 x 9 places, whatever the image's size.
PATCHES_PER_SIDE, PLACES_PER_SIDE = 4, 9
# Images asked for together: all views of each lie in memory, and for many the predictor opens a second session.
AT_ONCE = 27
_TINY = float(np.finfo(np.float32).tiny)


class Predicts(Protocol):
    """Whatever gives probabilities for raw pixels: `tinysight.serving.predictor.Predictor`."""

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...


def occlusion_map(predictor: Predicts, image: NDArray[np.uint8], class_index: int | None = None) -> NDArray[np.float32]:
    """Where covering the image costs a class the most.

    Each patch is filled with the image's mean colour: grey would be a bright mark on the black ground of a digit, and a
    mark of its own is evidence. A pixel's heat is the mean over the patches that cover it of what the class's logit
    loses against the mean of all logits.

    Args:
        predictor: gives probabilities; asked for the image, then for `AT_ONCE` covered ones at a time.
        image: uint8, shape (height, width, channels), raw pixels as the model takes them.
        class_index: the class; None for the predicted one.

    Returns:
        float32, shape (height, width), 0..1: the largest value is 1, unless covering costs nothing, when all are 0.

    Raises:
        InvalidValueError: when the image does not fit the model, or there is no such class.
    """
    if image.ndim != 3:
        raise InvalidValueError(f"the image has shape {image.shape}; expected (height, width, channels)")
    whole = predictor.predict(image[np.newaxis])
    chosen = int(whole[0].argmax()) if class_index is None else class_index
    if not 0 <= chosen < whole.shape[1]:
        raise InvalidValueError(f"the class is {class_index}; expected 0 to {whole.shape[1] - 1}")
    height, width = image.shape[:2]
    masks = _masks(height, width)
    mean = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    covered = np.where(masks[..., np.newaxis], mean, image)
    starts = range(0, len(covered), AT_ONCE)
    parts = [predictor.predict(covered[start : start + AT_ONCE]) for start in starts]
    scores = _scores(np.concatenate(parts), chosen)
    lost = np.maximum(_scores(whole, chosen) - scores, 0)
    heat = np.tensordot(lost, masks, axes=1) / masks.sum(axis=0)
    largest = heat.max()
    return np.asarray(heat / largest if largest > 0 else heat, np.float32)


def _scores(probabilities: NDArray[np.float32], class_index: int) -> NDArray[np.float32]:
    """The class's logit less the mean of all: float32, shape (n,)."""
    logs = np.log(np.maximum(probabilities, _TINY))
    return np.asarray(logs[:, class_index] - logs.mean(axis=1), np.float32)


def _masks(height: int, width: int) -> NDArray[np.bool_]:
    """Where each patch lies: bool, shape (patches, height, width); a pixel in the middle is covered 4 times or more."""
    down, across = _bands(height), _bands(width)
    return np.asarray((down[:, None, :, None] & across[None, :, None, :]).reshape(-1, height, width))


def _bands(length: int) -> NDArray[np.bool_]:
    """Overlapping stretches of one side, the outermost half beyond the border: bool, shape (bands, length)."""
    size = max(1, -(-length // PATCHES_PER_SIDE))
    half = (size + 1) // 2
    starts = np.rint(np.linspace(half - size, length - half, PLACES_PER_SIDE)).astype(np.int64)
    pixels = np.arange(length)
    return np.asarray((pixels >= starts[:, None]) & (pixels < starts[:, None] + size))
