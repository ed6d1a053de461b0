"""How fast the predictor of `tinysight predict` is: a program of its own, as the plain one is.

python -m tinysight.benchmarks.predict_rate RUN DATA.npz PASSES
"""

from __future__ import annotations

import json
import sys
import time


def predict_rate(run: str, archive: str, passes: int) -> dict[str, object]:
    """Seconds of each pass over the test images of an archive, after a first one, and the classes."""
    import numpy as np

    from tinysight.serving.predictor import load_predictor

    predictor = load_predictor(run)
    with np.load(archive, allow_pickle=False) as arrays:
        images = arrays["x_test"]
    images = images.reshape((-1, *predictor.info.image_shape))
    predictor.predict(images)
    seconds = []
    for _ in range(passes):
        started = time.perf_counter()
        probabilities = predictor.predict(images)
        seconds.append(time.perf_counter() - started)
    return {"num_images": len(images), "seconds": seconds, "classes": probabilities.argmax(axis=1).tolist()}


if __name__ == "__main__":
    print(json.dumps(predict_rate(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
