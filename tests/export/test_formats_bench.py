"""`tinysight bench exports`: every runtime beside the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import fit_last_layer, make_run

from tinysight.data import catalog
from tinysight.export import timing
from tinysight.files import read_json
from tinysight.recipe import load_recipe

Command = Callable[..., tuple[int, str, str]]


def test_a_bench_of_every_runtime(
    command: Command, tmp_path: Path, keras_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from tinysight.models.registry import build_net

    monkeypatch.setattr(timing, "BATCH_SECONDS", 0.1)
    data, recipe = catalog.load("mnist-5k"), load_recipe("mnist-softmax")
    net = build_net(recipe, data.image_shape, 10)
    fit_last_layer(net, data)
    run = make_run(tmp_path / "run", recipe, data, net)
    status, out, err = command("bench", "exports", run.folder, "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result == read_json(run.export_benchmark)
    rows = {(row["format"], row["quantize"]): row for row in result["rows"]}
    assert list(rows) == [("keras", None), ("onnx", None), ("litert", None), ("onnx", "int8"), ("litert", "int8")]
    for row in rows.values():
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["images_per_second"] > 0
        assert abs(row["accuracy"] - rows["keras", None]["accuracy"]) <= 0.02
    assert rows["onnx", None]["accuracy"] == rows["keras", None]["accuracy"] > 0.7
    for name in ("onnx", "litert"):
        assert rows[name, "int8"]["bytes"] < 0.6 * rows[name, None]["bytes"]
    with Image.open(result["plot"]) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400
    assert sorted(path.name for path in run.exports.iterdir()) == ["benchmark.json", "benchmark.png"]


def test_a_command_that_does_not_exist(command: Command) -> None:
    status, _, err = command("bench", "export", "somewhere")
    assert status == 2
    assert "did you mean 'bench exports'?" in err


def test_timing_counts_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "BATCH_SECONDS", 0.0)
    sizes: list[int] = []
    measured = timing.measure(lambda images: sizes.append(len(images)), np.zeros((10, 4, 4, 1), np.uint8))
    assert sizes.count(1) == timing.WARM_UP + timing.NUM_SINGLE
    assert sizes.count(256) == 1 + timing.MIN_BATCHES
    assert len(sizes) == sizes.count(1) + sizes.count(256)
    assert 0 <= measured.p50_ms <= measured.p99_ms
