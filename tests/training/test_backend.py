"""The one choice of backend and device. Keras is imported already here, so what comes before is tested in parts."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tinysight.errors import InvalidValueError, UnknownNameError
from tinysight.training import backend
from tinysight.training.backend import choose_backend, list_devices, parse_device, processor


@pytest.mark.parametrize(
    ("text", "expected"),
    [("auto", ("auto", None)), ("cpu", ("cpu", None)), ("gpu", ("gpu", None)), ("gpu:3", ("gpu", 3))],
)
def test_devices_are_parsed(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_device(text) == expected


@pytest.mark.parametrize("text", ["cpus", "tpu", "", "GPU"])
def test_unknown_devices(text: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown device"):
        parse_device(text)


@pytest.mark.parametrize("text", ["gpu:", "gpu:x", "gpu:-1", "cpu:0", "auto:1"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(InvalidValueError, match="expected auto, cpu, gpu or gpu:NUMBER"):
        parse_device(text)


class TestName:
    def test_the_variable_decides(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
        monkeypatch.setattr(backend, "jax_sees_gpu", lambda: True)
        assert backend._backend_name("auto") == "tensorflow"

    @pytest.mark.parametrize(("sees", "expected"), [(True, "jax"), (False, "tensorflow")])
    def test_jax_where_it_sees_a_gpu(self, sees: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
        monkeypatch.setattr(backend, "jax_sees_gpu", lambda: sees)
        assert backend._backend_name("auto") == backend._backend_name("gpu") == expected
        assert backend._backend_name("cpu") == "tensorflow"

    def test_an_unknown_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KERAS_BACKEND", "tensorflw")
        with pytest.raises(UnknownNameError, match="unknown KERAS_BACKEND 'tensorflw': did you mean 'tensorflow'"):
            backend._backend_name("auto")

    def test_one_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KERAS_BACKEND", "torch")
        monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(InvalidValueError, match="KERAS_BACKEND is torch, which is not installed"):
            backend._backend_name("auto")


def test_a_gpu_that_is_not_there(keras_module: Any) -> None:
    with pytest.raises(InvalidValueError, match="--device gpu:1: tensorflow sees no GPU; `tinysight devices` lists"):
        choose_backend("gpu:1")


def test_the_processor_is_first(keras_module: Any) -> None:
    first = list_devices()[0]
    assert (first.name, first.kind, first.backend, first.description) == ("cpu", "cpu", "tensorflow", processor())
    assert processor().endswith(("core", "cores"))


def test_another_backend_is_imported_with_what_it_needs() -> None:
    pytest.importorskip("jax")
    program = "from tinysight.training import backend; backend.own_process(); print(backend.choose_backend('cpu'))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8",
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )  # fmt: skip
    assert done.stdout.strip() == "jax", done.stderr


def test_a_command_imports_keras_without_what_it_does_not_use() -> None:
    """It is there for whoever imports it afterwards, and so is the garbage collector."""
    program = r"""
import gc, re, sys
from pathlib import Path
from tinysight.training import backend
if "own" in sys.argv:
    backend.own_process()
backend.choose_backend("cpu")
others = any(name in sys.modules for name in ("jax", "matplotlib", "pandas", "scipy", "sklearn"))
found = "keras.src" in sys.modules, others, gc.get_freeze_count() > 0, gc.isenabled()
status = Path("/proc/self/status")
print(*found, int(re.search(r"RssFile:\s+(\d+)", status.read_text())[1]) if status.exists() else 0)
import jax, matplotlib.pyplot, pandas, scipy.sparse, sklearn.metrics
"""
    found = {}
    for whose in ("own", "a person's"):
        done = subprocess.run([sys.executable, "-c", program, whose], capture_output=True, encoding="utf-8", check=True)
        found[whose] = done.stdout.split()
    library_pages = {whose: int(words.pop()) for whose, words in found.items()}
    if sys.platform == "linux":
        assert library_pages["own"] < 0.5 * library_pages["a person's"]
    assert found == {"own": ["True", "False", "True", "True"], "a person's": ["True", "True", "False", "True"]}


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("2,3", "3"), ("GPU-aa, GPU-bb", "GPU-bb")])
def test_gpus_are_counted_among_those_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    if given is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert backend._visible_gpu(1) == expected


def test_a_gpu_that_may_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    with pytest.raises(InvalidValueError, match="gpu:2: CUDA_VISIBLE_DEVICES=2,3 leaves 2"):
        backend._visible_gpu(2)
