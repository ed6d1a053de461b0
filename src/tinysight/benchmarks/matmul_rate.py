"""How many float32 operations a second this machine does in matrix products, on all cores: a program of its own.

    python -m tinysight.benchmarks.matmul_rate SIZE...

Prints one JSON object: for each size the median rate in operations a second.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

REPEATS = 7


def matmul_rate(size: int, repeats: int = REPEATS) -> float:
    """Multiplications and additions a second in the product of two square matrices: the median of `repeats`."""
    import tensorflow as tf

    first, second = (tf.random.stateless_uniform((size, size), seed=(0, number)) for number in (1, 2))
    multiply = tf.function(tf.linalg.matmul)
    float(multiply(first, second)[0, 0])
    rates = []
    for _ in range(repeats):
        started = time.perf_counter()
        # Reading a number waits for the product.
        float(multiply(first, second)[0, 0])
        rates.append(2 * size**3 / (time.perf_counter() - started))
    return statistics.median(rates)


if __name__ == "__main__":
    print(json.dumps({size: matmul_rate(int(size)) for size in sys.argv[1:]}))
