"""Random predictions that look for trouble: absent classes, certainties, ties, sums that are not quite one."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def predictions(draw, ties=True):
    """(probabilities float64 (n, classes), labels int64 (n,)) with from 2 to 7 classes, some maybe absent."""
    num_images, num_classes = draw(st.integers(1, 60)), draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = ["soft", "sharp", *(["certain", "tied"] if ties else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "certain":
        probabilities = np.eye(num_classes)[rng.integers(0, num_classes, num_images)]
    elif kind == "tied":
        weights = rng.integers(0, 3, (num_images, num_classes)) + np.eye(num_classes)[0]
        probabilities = weights / weights.sum(axis=1, keepdims=True)
    else:
        probabilities = rng.dirichlet(np.full(num_classes, 1.0 if kind == "soft" else 0.05), num_images)
    present = rng.choice(num_classes, size=draw(st.integers(1, num_classes)), replace=False)
    return probabilities, rng.choice(present, num_images)
