"""What an analysis leaves in a run, made up: the files that docs/evaluation.md describes."""

from __future__ import annotations

import numpy as np

from tinysight.files import write_json
from tinysight.runs import Run


def figure(value: float, n: int = 100):
    return {
        "value": value,
        "interval": [max(0.0, value - 0.05), min(1.0, value + 0.05)],
        "n": n,
        "method": "Wilson 95 %",
    }


def write_analysis(run: Run, class_names, shape=(12, 12, 3), model_sha256: str = "0" * 64) -> None:
    rng = np.random.default_rng(0)

    def images(*leading: int):
        return rng.integers(0, 256, (*leading, *shape)).astype(np.uint8)

    def write(part: str, record, **arrays) -> None:
        run.analysis.mkdir(exist_ok=True)
        np.savez(run.analysis_arrays(part), **arrays)
        write_json(
            run.analysis_record(part), {"part": part, "key": {"model_sha256": model_sha256}, "seconds": 1.0} | record
        )

    first, second = class_names[:2]
    disturbed = [
        {
            "name": name,
            "strengths": [1, 2, 3, 4, 5],
            "accuracy": [figure(0.7 - step * level) for level in range(1, 6)],
            "mean_accuracy": 0.7 - 3 * step,
            "drop": 3 * step,
        }
        for name, step in (("gaussian_noise", 0.02), ("occlusion", 0.1))
    ]
    write(
        "robustness",
        {"split": "test", "num_images": 100, "clean": figure(0.7), "mean_accuracy": 0.5, "corruptions": disturbed},
        examples=images(2, 6),
    )
    source = {
        "name": "uniform noise", "words": "pixels of any value", "num_images": 50, "sure": 0.4, "mean_top_score": 0.8,
        "counts": [0] * 10 + [5] * 10, "most_common": first, "most_common_share": 0.9,
        "auroc": {"probability": figure(0.8), "entropy": figure(0.82)},
    }  # fmt: skip
    edges = [round(0.05 * index, 2) for index in range(21)]
    write(
        "outliers",
        {
            "num_inliers": 60, "sure_at": 0.9, "inliers_sure": 0.5, "edges": edges, "inlier_counts": [3] * 20,
            "sources": [source], "skipped": [{"name": "mnist", "reason": "it is not on this machine"}],
        },
        uniform_noise_examples=images(8),
        uniform_noise_scores=np.linspace(1, 0.5, 8),
        uniform_noise_predicted=np.zeros(8),
    )  # fmt: skip
    suspect = {
        "split": "test", "index": 3, "source": None, "given": first, "given_index": 0, "suggested": second,
        "suggested_index": 1, "score": 0.01, "given_probability": 0.01, "suggested_probability": 0.98,
    }  # fmt: skip
    found = {
        "num_images": 60, "num_suspects": 1, "num_flagged": 9, "assumed_rate": 0.01, "expected_precision": 0.6,
        "accuracy": 0.7, "csv": "labels-test.csv", "how": "the run's own predictions",
    }  # fmt: skip
    write("labels", {"splits": {"test": found}, "suspects": [suspect]}, images=images(1))
    between = {
        "first": "train", "second": "test", "num_first": 20, "num_second": 60, "num_exact": 1, "num_near": 1,
        "num_affected": 2,
    }  # fmt: skip
    pair = {
        "first": "train", "first_index": 1, "second": "test", "second_index": 2, "kind": "exact", "similarity": 1.0,
        "mirrored": False, "first_label": first, "second_label": first, "same_label": True,
    }  # fmt: skip
    near = pair | {"kind": "near", "similarity": 0.987, "mirrored": True, "second_label": second, "same_label": False}
    write(
        "duplicates",
        {
            "between": [between], "pairs": [pair, near], "accuracy_with": figure(0.7), "accuracy_without": figure(0.69),
        },
        first_images=images(2), second_images=images(2),
    )  # fmt: skip
    explained = {
        "split": "test", "index": 0, "role": "sure and wrong", "given": first, "given_index": 0, "predicted": second,
        "predicted_index": 1, "score": 0.97,
    }  # fmt: skip
    write(
        "explain",
        {
            "method": "HiResCAM", "words": "bright where it speaks for the answer", "layer": "pool",
            "map_shape": [3, 3],
            "images": [explained],
            "kernels": {"layer": "conv", "num_filters": 8, "height": 3, "width": 3, "channels": 3},
            "feature_maps": [
                {"layer": "conv", "kind": "Conv2D", "height": 10, "width": 10, "num_channels": 8, "array": "maps_0"}
            ],
            "classic": [{"name": "blur", "words": "the mean of nine"}],
        },
        images=images(1), heat_maps=rng.random((1, *shape[:2])).astype(np.float32), feature_image=images(1)[0],
        kernels=rng.integers(0, 256, (8, 3, 3, 3)).astype(np.uint8),
        classic=rng.integers(0, 256, (1, 12, 12)).astype(np.uint8),
        maps_0=rng.integers(0, 256, (8, 10, 10)).astype(np.uint8),
    )  # fmt: skip
