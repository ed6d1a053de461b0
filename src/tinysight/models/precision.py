"""In which number format a net computes while it is trained. What is saved and exported is always float32."""

from __future__ import annotations

from pathlib import Path

import keras

from tinysight.recipe import Recipe

# As Linux calls them. Intel's processors with the second had no AMX for one generation, AMD's have none.
_MULTIPLYING = frozenset({"amx_bf16", "avx512_bf16"})
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def resolve_precision(recipe: Recipe) -> Recipe:
    """The recipe with precision=auto replaced by what is fast here: bfloat16 where the hardware multiplies it.

    That is a GPU, or TensorFlow on a processor with AMX tiles or with AVX-512's instructions for bfloat16. Without
    those, bfloat16 is slower than float32.
    """
    if recipe.precision != "auto":
        return recipe
    return recipe.replace(precision="bfloat16" if _multiplies_bfloat16() else "float32")


def _multiplies_bfloat16() -> bool:
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() in ("gpu", "tpu"))
    return keras.backend.backend() == "tensorflow" and not _MULTIPLYING.isdisjoint(_processor_flags())


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
