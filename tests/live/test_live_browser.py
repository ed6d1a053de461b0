"""The live page in a real Chromium: it follows, survives a reload, fits a phone, says the end, and is silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chromium import Visit, open_browser, visit

from tinysight.live.record import Record
from tinysight.live.server import LiveServer
from tinysight.png import png_uri

pytestmark = pytest.mark.browser

OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 1 || box.left < -1) && !element.closest('.scroll');
}).map(element => element.tagName + '.' + element.className)"""


CUT_OFF = """() => [...document.querySelectorAll('#charts svg text')].filter(text => {
  const box = text.getBoundingClientRect(), plot = text.closest('svg').getBoundingClientRect();
  return box.left < plot.left - 1 || box.right > plot.right + 1;
}).map(text => text.textContent)"""


def training(epoch: int) -> dict[str, Any]:
    """What a training tells after so many of its 20 epochs."""
    epochs = [number / 4 for number in range(1, 4 * epoch + 1)]
    rows = [
        {"epoch": number, "accuracy": 1 - 0.5 / number, "loss": 2 / number, "val_accuracy": 1 - 0.6 / number,
         "val_loss": 2.2 / number, "learning_rate": 0.001, "seconds": 90.0 * number}
        for number in range(1, epoch + 1)
    ]  # fmt: skip
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    names = ["a class with a very long name that goes on and on", "<b>cat</b>", "Füchsin"]
    top = [{"name": name, "score": score} for name, score in zip(names, (0.7, 0.2, 0.1), strict=True)]
    images = [{"uri": png_uri(pixels), "index": index, "true": names[index % 2], "top": top} for index in range(8)]
    return {
        "phase": "training", "title": "quick on cifar10", "subtitle": "runs/quick-20261122-051846, seed 0",
        "status": f"Epoch {epoch} of 20 done, validation accuracy {1 - 0.6 / epoch:.1%}.", "metric": "accuracy",
        "epoch": epoch + 1, "num_epochs": 20, "progress": epoch / 20, "seconds": 90.0 * epoch,
        "seconds_left": 90.0 * (20 - epoch), "learning_rate": 0.001, "now": {"accuracy": 0.5, "loss": 1.0},
        "points": {"epoch": epochs, "accuracy": [1 - 0.5 / (1 + place) for place in epochs],
                   "loss": [2 / (1 + place) for place in epochs], "learning_rate": [0.001] * len(epochs)},
        "history": rows, "samples": {"words": "Validation images.", "images": images}, "report": None,
    }  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_training_from_start_to_end(width: int, scheme: Any) -> None:
    record = Record(
        phase="starting", title="Training", subtitle="", status="Loading the data.", metric="accuracy", epoch=0,
        num_epochs=0, progress=0.0, seconds=0.0, seconds_left=None, learning_rate=None, now={}, points={"epoch": []},
        history=[], samples=None, report=None,
    )  # fmt: skip
    server = LiveServer(record)
    size: Any = {"width": width, "height": 900}
    with (
        open_browser("--disable-gpu", "--disable-background-networking") as browser,
        visit(browser, server.url, viewport=size, color_scheme=scheme) as live,
    ):
        says(live, "Loading the data.")
        record.update(**training(1))
        says(live, "Epoch 1 of 20 done, validation accuracy 40.0%.")
        record.update(**training(12))
        says(live, "Epoch 12 of 20 done, validation accuracy 95.0%.")
        follows_twelve_epochs(live)
        live.page.reload()
        says(live, "Epoch 12 of 20 done, validation accuracy 95.0%.")
        follows_twelve_epochs(live)
        record.update(phase="finished", status="The training is finished.", report="/home/me/runs/a/report.html")
        server.close()
        says(live, "The training is finished.")
        assert "/home/me/runs/a/report.html" in live.text("#report")
        # Nobody asks a server that has gone: the console stays silent.
        live.page.wait_for_timeout(1500)
        assert live.page.is_hidden("#problem")
        assert live.hosts == {server.url.split("/")[2]}


def says(live: Visit, words: str) -> None:
    live.wait_until(f"document.getElementById('status').textContent === {words!r}")


def follows_twelve_epochs(live: Visit) -> None:
    assert live.page.evaluate(OVERFLOWING) == []
    assert not live.scrolls_sideways()
    charts = live.page.query_selector_all("#charts svg[role=img]")
    assert "validation 95.0 % at epoch 12.0" in (charts[0].get_attribute("aria-label") or "").replace("\u00a0", " ")
    assert len(charts) == 3
    assert live.page.evaluate(CUT_OFF) == []
    assert live.page.evaluate("document.querySelectorAll('#epochs tbody tr').length") == 12
    assert "about 12:00" in live.text("#facts")
    samples = live.page.query_selector_all("#samples figure")
    assert ["right" in (sample.get_attribute("class") or "") for sample in samples] == [True, False] * 4
    # A name is words, whatever is in it.
    assert "<b>cat</b>" in live.text("#samples")
    assert live.page.evaluate("document.querySelectorAll('#samples b').length") == 0
