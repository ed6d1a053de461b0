"""What is printed while a net trains."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras."""


class Clock:
    """Time that stands still between two steps."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


def epoch_of(lines: Any, clock: Clock, epoch: int, steps: int, *, skip: int = 0, seconds: float = 2.0) -> None:
    """An epoch, or a part of one, in calls of three steps; validation takes a minute."""
    lines.feed.skip = skip
    lines.set_params({"epochs": 9, "steps": steps, "verbose": 0})
    lines.on_train_begin()
    lines.on_epoch_begin(epoch)
    for batch in range(2, steps + 2, 3):
        clock.now += seconds * min(3, steps - batch + 2)
        lines.on_train_batch_end(batch, {"loss": 1.0})
    clock.now += 60
    lines.on_epoch_end(epoch, {"loss": 1.0})
    lines.on_train_end()


def told(line: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"(epoch \S+)  loss 1.0000  learning_rate 0.5  ([\d,]+) images/s  (.*) left", line)
    assert found, line
    return found[1], found[2], found[3]


@pytest.mark.parametrize("kind", ["Lines", "Bar"])
def test_images_a_second_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    from tinysight.training import progress

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    # 1,000 images in ten steps, the last of which has as many as the others; 25 steps are two epochs and a half.
    feed = SimpleNamespace(num_steps=10, num_images=1000, batch_size=100, skip=0)
    lines = getattr(progress, kind)(feed, 25)
    lines.set_model(SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.5)))
    # Resumed after four steps of the first epoch.
    epoch_of(lines, clock, 0, 6, skip=4)
    epoch_of(lines, clock, 1, 10)
    epoch_of(lines, clock, 2, 5)
    first, second, third = (told(line.strip()) for line in capsys.readouterr().err.splitlines() if "left" in line)
    # 6 steps in 72 s, of 21; then 16 in 152 s, of 21.
    assert first == ("epoch 1/3", "50", "3:00")
    assert second == ("epoch 2/3", "50", "48 s")
    assert third == ("epoch 3/3", "50", "0 s")
