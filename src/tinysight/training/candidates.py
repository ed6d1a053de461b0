"""The nets of model=fast among which `--minutes` chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A net of model=fast and how long it wants to be trained.

    Attributes:
        fields: of the recipe.
        images: images to see before it does better than the candidate before it in the same time, on CIFAR-10 and two
            cores that multiply bfloat16; where they cross was interpolated between trainings of one seed each.
        cost: time of a step of its own batch size for each precision, in times of the first candidate's in bfloat16,
            measured on two cores.
        later: what comes after its training beyond the first candidate's, seconds: its ONNX file, mostly.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    images: int = 0
    cost: Mapping[str, float]
    later: float = 0.0


_SHARED = {
    "stem_kernel": 2, "stem_strides": 1, "stem_padding": "valid", "stem_filters": 8,
    # Which takes smoothed labels.
    "loss": "categorical_crossentropy", "label_smoothing": 0.1,
    "precision": "auto", "batch_size": 200,
}  # fmt: skip
_SINGLE = {**_SHARED, "group_convolutions": 1, "group_pooling": "before"}
_DOUBLE = {**_SHARED, "group_convolutions": 2, "group_pooling": "after"}
# Larger batches turn the kernels of wide nets less often, and do better from some hundred steps on.
_WIDE = {**_DOUBLE, "stem_filters": 12, "label_smoothing": 0.2, "batch_size": 500}
# From the smallest to the largest.
CANDIDATES = (
    Candidate(fields={**_SINGLE, "widths": (32, 64, 128)}, cost={"float32": 1.5, "bfloat16": 1.0}),
    Candidate(
        fields={**_DOUBLE, "widths": (32, 64, 128)}, images=25_000, cost={"float32": 5.6, "bfloat16": 2.6}, later=0.2
    ),
    Candidate(
        fields={**_DOUBLE, "widths": (64, 128, 192)}, images=90_000, cost={"float32": 15.0, "bfloat16": 5.3}, later=0.8
    ),
    Candidate(
        fields={**_WIDE, "widths": (64, 256, 256)}, images=160_000, cost={"float32": 81.0, "bfloat16": 22.0}, later=0.8
    ),
    Candidate(
        fields={**_WIDE, "widths": (128, 384, 384)}, images=260_000, cost={"float32": 198.0, "bfloat16": 53.0},
        later=0.8,
    ),
)  # fmt: skip
# Of a training of several epochs.
SHIFTS: Mapping[str, Any] = {"translate": 2}
# What a choice among them decides.
CHOSEN = frozenset(set(SHIFTS).union(*(candidate.fields for candidate in CANDIDATES)))
# A net of one's own, in the same terms.
ANY_NET = Candidate(cost={"float32": 2.0, "bfloat16": 1.0})
