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
        images: images to see before it does better than the candidate before it, measured on CIFAR-10.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    images: int


_SMALL = {"group_convolutions": 1, "group_pooling": "before", "stem_kernel": 3, "stem_strides": 2, "stem_filters": 24}
_WIDE = {
    "widths": (64, 256, 256), "stem_kernel": 2, "stem_strides": 1, "stem_padding": "valid", "stem_filters": 12,
    "label_smoothing": 0.2, "precision": "auto",
}  # fmt: skip
# From the smallest to the largest.
CANDIDATES = (
    Candidate(fields={**_SMALL, "widths": (32, 64, 128)}, images=0),
    Candidate(fields={**_SMALL, "widths": (64, 128, 256)}, images=90_000),
    Candidate(fields={**_WIDE, "group_convolutions": 1, "group_pooling": "before"}, images=60_000),
    Candidate(fields={**_WIDE, "group_convolutions": 2, "group_pooling": "after"}, images=60_000),
)
# Of a training of several epochs.
SHIFTS: Mapping[str, Any] = {"translate": 2}
# What a choice among them decides; and the loss, which smoothed labels need.
CHOSEN = frozenset({"loss", *SHIFTS}.union(*(candidate.fields for candidate in CANDIDATES)))
