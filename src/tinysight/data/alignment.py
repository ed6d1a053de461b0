"""Whether one small image is another one moved a little: least-squares alignment, and a fast bound on its outcome.

The answer comes from `align`: shift and scale along both axes by Gauss-Newton steps (Lucas and Kanade 1981, "An
iterative image registration technique", IJCAI). It costs tenths of a millisecond a pair, so `TangentSearch` first
throws out nearly all pairs: on blurred images a small shift or scale adds a multiple of a derivative image (tangent
distance: Simard, LeCun, Denker 1993, NIPS 5), so that the best correlation over small shifts and scales is the length
of a projection, which for all pairs at once is one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Images prepared at once: bounds memory, not results.
CHUNK = 500
# Larger images are averaged down by a whole factor to at least this many pixels a side: near copies stay near copies.
SMALL_SIDE = 48
# Rec. 601 luma, which JPEG keeps best; its colour is halved in size and coarsely rounded.
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def luma(images: NDArray[np.uint8]) -> Floats:
    """Brightness of images as float32, shape (n, height, width), 0..255, large ones averaged down."""
    grey = images.astype(np.float32) @ LUMA if images.shape[3] == 3 else images[..., 0].astype(np.float32)
    factor = max(1, min(grey.shape[1:]) // SMALL_SIDE)
    if factor == 1:
        return grey
    height, width = (size // factor for size in grey.shape[1:])
    blocks = grey[:, : height * factor, : width * factor].reshape(-1, height, factor, width, factor)
    return np.asarray(blocks.mean(axis=(2, 4)), dtype=np.float32)


def blur_matrix(size: int, num_points: int, sigma: float) -> tuple[Floats, Floats, Floats]:
    """Gaussian weights that blur a line of `size` pixels and sample it at evenly spaced points.

    Args:
        size: pixels of the line.
        num_points: how many samples.
        sigma: standard deviation of the Gaussian, in pixels.

    Returns:
        Weights, shape (num_points, size); weights of the derivative; and the points, -1 to 1 from edge to edge.
    """
    points = (np.arange(num_points) + 0.5) * size / num_points - 0.5
    distance = np.arange(size) - points[:, None]
    weights = np.exp(-0.5 * np.square(distance / sigma))
    weights /= weights.sum(axis=1, keepdims=True)
    slopes = weights * distance / sigma**2
    slopes -= weights * slopes.sum(axis=1, keepdims=True)
    places = (points - (size - 1) / 2) / (size / 2)
    return weights.astype(np.float32), slopes.astype(np.float32), places.astype(np.float32)


def _centred(rows: NDArray[Any]) -> Floats:
    centred: Floats = rows - rows.mean(axis=-1, keepdims=True)
    return centred


@dataclass(frozen=True)
class TangentSearch:
    """One resolution at which pairs are compared by projection.

    Attributes:
        num_points: samples along each side.
        blur: standard deviation of the blur, as a fraction of each side.
        num_shifts: whole pixels tried to each side beyond what the tangents reach.
        threshold: pairs that correlate less than this are thrown out.
    """

    num_points: int
    blur: float
    num_shifts: int
    threshold: float

    def points(self, grey: Floats) -> Floats:
        """Blurred samples without mean and of length 1: shape (n, num_points ** 2). Flat images become zeros."""
        (rows, _, _), (columns, _, _) = (
            blur_matrix(size, self.num_points, self.blur * size) for size in grey.shape[1:]
        )
        samples = _centred((rows @ grey @ columns.T).reshape(len(grey), -1))
        length = np.linalg.norm(samples, axis=1, keepdims=True)
        # Below one grey level of contrast there is nothing but noise to compare.
        flat = length < self.num_points
        return np.where(flat, 0, samples / np.where(flat, 1, length))

    def subspaces(self, grey: Floats) -> Floats:
        """Orthonormal rows that span each image and its derivatives by shift and scale.

        Returns:
            float32, shape (n, (2 * num_shifts + 1) ** 2, 4, num_points ** 2).
        """
        reach = range(-self.num_shifts, self.num_shifts + 1)
        moved = [_moved(grey, down, right) for down in reach for right in reach]
        return np.stack([self._subspace(image) for image in moved], axis=1)

    def _subspace(self, grey: Floats) -> Floats:
        rows, row_slopes, row_places = blur_matrix(grey.shape[1], self.num_points, self.blur * grey.shape[1])
        columns, column_slopes, column_places = blur_matrix(grey.shape[2], self.num_points, self.blur * grey.shape[2])
        blurred = rows @ grey @ columns.T
        down, right = row_slopes @ grey @ columns.T, rows @ grey @ column_slopes.T
        larger = down * row_places[:, None] + right * column_places
        vectors = np.stack([part.reshape(len(grey), -1) for part in (blurred, down, right, larger)], axis=1)
        return _orthonormal(_centred(vectors))

    def reach(self, subspaces: Floats, points: Floats) -> Floats:
        """The best correlation of images with one other image that small shifts and scales can give, squared.

        Args:
            subspaces: shape (shifts, 4, dimensions), of one image.
            points: shape (n, dimensions), of n others.

        Returns:
            float32, shape (n,).
        """
        parts = points @ subspaces.reshape(-1, subspaces.shape[-1]).T
        squares = np.square(parts).reshape(len(points), *subspaces.shape[:2]).sum(axis=2)
        return np.asarray(squares.max(axis=1), dtype=np.float32)


def _moved(grey: Floats, down: int, right: int) -> Floats:
    """Images moved by whole pixels, their edges repeated."""
    height, width = grey.shape[1:]
    rows, columns = np.clip(np.arange(height) - down, 0, height - 1), np.clip(np.arange(width) - right, 0, width - 1)
    return grey[:, rows][:, :, columns]


def _orthonormal(vectors: Floats) -> Floats:
    """Gram-Schmidt along axis 1; a vector that the ones before it explain becomes zero."""
    done: list[Floats] = []
    for vector in np.moveaxis(vectors, 1, 0):
        rest = vector
        for other in done:
            rest = rest - (rest * other).sum(axis=1, keepdims=True) * other
        length = np.linalg.norm(rest, axis=1, keepdims=True)
        small = length <= 1e-3 * np.linalg.norm(vector, axis=1, keepdims=True) + 1e-3
        done.append(np.where(small, 0, rest / np.where(small, 1, length)))
    return np.stack(done, axis=1)


@dataclass(frozen=True, eq=False)
class Alignment:
    """How well pairs of images agree once aligned.

    Attributes:
        correlation: float64, shape (n,), of brightness, away from the edges.
        residual: float64, shape (n,): root mean square of what a change of brightness and contrast does not explain, in
            grey levels of the image with more contrast.
    """

    correlation: NDArray[np.float64]
    residual: NDArray[np.float64]


# How far shift and scale may each move the edges, as a fraction of half the side: 1.5 pixels of 32.
LARGEST_MOVE = 1.5 / 16
# Divisor of the size, blur in pixels, steps: coarse first, so that a thin stroke does not lock in beside itself; after
# the second pass 98 of 100 look-alikes among digits can be given up. The last pass measures.
FIRST_PASSES = ((2, 2.2, 2), (1, 0.8, 1))
LAST_BLUR, LAST_STEPS = 0.5, 2


def align(first: Floats, second: Floats, give_up: NDArray[np.floating]) -> Alignment:
    """Aligns pairs of images by shift and scale along both axes.

    Args:
        first: float32, shape (n, height, width), 0..255.
        second: likewise.
        give_up: float, shape (n,): with a larger residual than this before the last pass a pair is left at that.
    """
    moves = np.zeros((len(first), 4), dtype=np.float32)
    for factor, blur, num_steps in FIRST_PASSES:
        one, other = (_blurred(images, factor, blur) for images in (first, second))
        moves = _steps(one, other, moves, num_steps)
    result = _compare(_warp(one, moves), other)
    go_on = np.flatnonzero(result.residual <= give_up)
    if len(go_on):
        one, other = (_blurred(images[go_on], 1, LAST_BLUR) for images in (first, second))
        # A copy that was resampled is softer: it can be made from the original, but not the original from it. To first
        # order the way back is the way there with its sign changed.
        best = _better(_aligned(one, other, moves[go_on]), _aligned(other, one, -moves[go_on]))
        result.correlation[go_on], result.residual[go_on] = best.correlation, best.residual
    return result


def _aligned(image: Floats, target: Floats, moves: Floats) -> Alignment:
    moves = _steps(image, target, moves, LAST_STEPS)
    # A step may lead astray where an image is flat, so that the pair as it lies is a candidate too.
    return _better(_compare(image, target), _compare(_warp(image, moves), target))


def _better(one: Alignment, other: Alignment) -> Alignment:
    swap = other.correlation > one.correlation
    return Alignment(np.where(swap, other.correlation, one.correlation), np.where(swap, other.residual, one.residual))


def _blurred(images: Floats, factor: int, blur: float) -> Floats:
    rows, columns = (blur_matrix(size, size // factor, blur)[0] for size in images.shape[1:])
    return np.asarray(rows @ images @ columns.T, dtype=np.float32)


def _steps(image: Floats, target: Floats, moves: Floats, num_steps: int) -> Floats:
    for _ in range(num_steps):
        moves = _step(_warp(image, moves), target, moves)
    return moves


def _inner(images: Floats) -> Floats:
    """Pixels away from the edges, where a moved image brought none of its own: shape (n, pixels), without mean."""
    margins = [max(1, round(LARGEST_MOVE * size / 2)) for size in images.shape[1:]]
    inside = images[:, margins[0] : -margins[0], margins[1] : -margins[1]]
    return _centred(inside.reshape(len(images), -1))


def _compare(warped: Floats, target: Floats) -> Alignment:
    one, other = _inner(warped), _inner(target)
    lengths = np.linalg.norm(one, axis=1).astype(np.float64), np.linalg.norm(other, axis=1).astype(np.float64)
    # Clipped, as rounding in float32 brings it to 1.0000001.
    correlation = np.clip((one * other).sum(axis=1) / np.maximum(lengths[0] * lengths[1], 1e-6), -1, 1)
    contrast = np.maximum(*lengths) / np.sqrt(one.shape[1])
    return Alignment(correlation, np.sqrt(np.maximum(1 - np.square(correlation), 0)) * contrast)


def _places(size: int) -> Floats:
    """Where the pixels of a line are, from -1 to 1 at its ends."""
    return ((np.arange(size) - (size - 1) / 2) / (size / 2)).astype(np.float32)


def _warp(images: Floats, moves: Floats) -> Floats:
    """Images resampled by shift and scale: `moves` are (down, taller, right, wider), as fractions of half a side."""
    height, width = images.shape[1:]
    rows, columns = moves[:, :1] + moves[:, 1:2] * _places(height), moves[:, 2:3] + moves[:, 3:] * _places(width)
    weights = _cubic(rows * (height / 2), height), _cubic(columns * (width / 2), width)
    return np.asarray(weights[0] @ images @ weights[1].transpose(0, 2, 1), dtype=np.float32)


def _cubic(moves: Floats, size: int) -> Floats:
    """Weights of cubic interpolation for pixels moved by `moves`: R. Keys 1981, IEEE TASSP 29, with a = -1/2.

    Args:
        moves: shape (n, size), in pixels.
        size: pixels of the line.

    Returns:
        float32, shape (n, size, size).
    """
    points = np.clip(moves + np.arange(size, dtype=np.float32), 0, size - 1)
    left = np.minimum(np.floor(points).astype(np.int64), size - 2)
    part = points - left
    square, cube = part * part, part * part * part
    parts = (
        -0.5 * part + square - 0.5 * cube,
        1 - 2.5 * square + 1.5 * cube,
        0.5 * part + 2 * square - 1.5 * cube,
        -0.5 * square + 0.5 * cube,
    )
    weights = np.zeros((*points.shape, size), dtype=np.float32)
    flat = weights.reshape(-1, size)
    row = np.arange(len(flat))
    for offset, weight in zip(range(-1, 3), parts, strict=True):
        # Beyond the edge its last pixel is repeated.
        flat[row, np.clip(left + offset, 0, size - 1).ravel()] += weight.ravel()
    return weights


def _step(warped: Floats, target: Floats, moves: Floats) -> Floats:
    """One Gauss-Newton step of contrast, brightness and moves, all pairs at once."""
    height, width = warped.shape[1:]
    down, right = np.gradient(warped, axis=1) * (height / 2), np.gradient(warped, axis=2) * (width / 2)
    vectors = (warped, down, down * _places(height)[:, None], right, right * _places(width))
    parts = np.stack([_inner(vector) for vector in vectors], axis=1)
    normal = (parts @ parts.transpose(0, 2, 1)).astype(np.float64)
    right_side = (parts @ _inner(target)[:, :, None]).astype(np.float64)
    # A prior against noise of some grey levels keeps moves that the image does not show near zero.
    normal += np.diag([1.0, *[(5 / LARGEST_MOVE) ** 2] * 4])
    solved = np.linalg.solve(normal, right_side)[:, :, 0]
    change = solved[:, 1:] / np.maximum(np.abs(solved[:, :1]), 0.2)
    moved: Floats = np.clip(moves + change, -LARGEST_MOVE, LARGEST_MOVE).astype(np.float32)
    return moved
