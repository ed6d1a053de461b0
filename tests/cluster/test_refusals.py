"""What is refused before Ray is looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tinysight.errors import InvalidValueError

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--workers", 2), "--workers are of a cluster: expected --cluster, as in --cluster local"),
        (("--cluster", "local"), "--cluster local: expected --workers, how many processes train on it"),
        (("--cluster", "local", "--workers", 0), "--workers 0: expected 1 or more"),
        (("--storage", "there"), "--storage is of a cluster's checkpoints: expected --cluster, as in --cluster local"),
        (("--cluster", "local", "--workers", 2, "--minutes", 1), "--minutes and --cluster exclude each other"),
        (("--cluster", "local", "--workers", 2, "--live"), "--live and --cluster exclude each other"),
        (("--cluster", "local", "--workers", 2, "--tensorboard"), "--tensorboard and --cluster exclude each other"),
        (("--cluster", "local", "--workers", 2, "--profile"), "--profile and --cluster exclude each other"),
        (("--cluster", "local", "--workers", 2, "--storage", ""), "--storage '' names no place: expected a folder"),
        (("--cluster", "local", "--workers", 2, "--device", "gpu:1"), "--device gpu:1: on a cluster every worker"),
        (("--cluster", "somewhere", "--workers", 2), "--cluster somewhere: expected local, auto, HOST:PORT or ray://"),
        (("--cluster", "host:99999", "--workers", 2), "--cluster host:99999: expected local, auto, HOST:PORT or"),
    ],
    ids=str,
)
def test_refused(words: tuple[object, ...], text: str, command: Command, offline: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    status, out, error = command("train", "--data", "mnist-5k", *words)
    assert (status, out) == (2, "")
    assert error.startswith(f"tinysight: {text}")
    assert len(error.splitlines()) == 1
    assert not (offline / "runs").exists()


def test_another_place_for_a_training_that_is_resumed(command: Command, offline: Path) -> None:
    words = ("--resume", "gone", "--cluster", "local", "--workers", 2, "--storage", "there")
    assert command("train", *words)[::2] == (
        2, "tinysight: --storage cannot be changed when a training is resumed: leave it out\n",
    )  # fmt: skip
    assert not (offline / "there").exists()


def test_no_cluster_to_connect_to(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from tinysight.cluster.engine import connected

    def refused(address: str, error: Exception) -> str:
        def fail(**options: object) -> None:
            raise error

        monkeypatch.setattr(ray, "init", fail)
        with pytest.raises(InvalidValueError) as stop, connected(address, 2, shared_steps=False):
            pass
        return str(stop.value)

    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-this-test")
    none = ConnectionError("Could not find any running Ray instance. Use the `--address` flag")
    assert refused("auto", none) == "--cluster auto: no cluster runs on this machine; `ray start --head` starts one"
    line = refused("local", ray.exceptions.AuthenticationError("another token"))
    assert line.startswith("--cluster local: another token")
    assert line.endswith("; a cluster that asks for a token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN")
    assert "\n" not in line


def test_without_ray(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinysight.cluster import engine

    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    status, _, error = command("train", "--data", "mnist-5k", "--cluster", "local", "--workers", 2)
    assert status == 2
    assert error == (
        "tinysight: --cluster needs the package ray, which is not installed: pip install 'tinysight[cluster]'\n"
    )
