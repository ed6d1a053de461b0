"""`tinysight bench train`: the command with real programs, in this process, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_process import Programs

from tinysight.benchmarks import bench as benches
from tinysight.benchmarks.measure import Measure
from tinysight.benchmarks.measures import MEASURES
from tinysight.benchmarks.pairs import Pair
from tinysight.runs import open_run

Command = Callable[..., tuple[int, str, str]]
TINY = Measure(
    name="tiny", title="digits", against="the tutorial", goal="2 times", recipes=("mnist-softmax",), data=("mnist-5k",),
    take=Pair(recipe="mnist-softmax", script="mnist_cnn.py", data="mnist-5k", goal=2, accuracy=0.2).take,
)  # fmt: skip


@pytest.fixture
def programs(command: Command, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Real programs in this process, and one measure that is small."""
    found = Programs(command)
    monkeypatch.setitem(MEASURES, "tiny", TINY)
    monkeypatch.setattr("tinysight.verbs.bench_train.Bench", lambda **fields: benches.Bench(**fields, run=found))
    return found


def test_a_rehearsal(programs: Programs, offline: Path) -> None:
    from tinysight.verbs.bench_train import bench_train

    said: list[str] = []
    kept = offline / "kept"
    results = bench_train(measures=["tiny"], rehearse=True, keep=kept, say=said.append).to_dict()
    (record,) = json.loads(json.dumps(results))["measures"]
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = text.partition("## tinysight bench train")[2].partition("\n## ")[0]
    for field in [*results, *results["machine"], *record]:
        assert f"`{field}`" in section
    assert (record["measure"], record["command"]) == ("tiny", "tinysight bench train --measure tiny --rounds 1")
    figures = record["figures"]
    assert (figures["plain"]["parameters"], figures["tinysight"]["parameters"]) == (93_322, 7_850)
    assert (figures["ratio"], figures["is_fast"], record["is_met"]) == (1.0, False, False)
    # 640 real digits teach both sides something.
    for side in ("plain", "tinysight"):
        assert 0.2 < figures[side]["accuracy"]["mean"] < 1
    assert results["left_out"] == {}
    assert {"python", "keras", "numpy"} <= set(results["machine"]["versions"])
    assert any("round 1 of 1: tinysight train mnist-softmax" in line for line in said)
    # Everything else was in a folder that is gone; the runs, without and with a report, are whole.
    assert list(offline.iterdir()) == [kept]
    runs = sorted(kept.iterdir())
    assert [open_run(run).folder for run in runs] == [kept / "mnist-softmax-1", kept / "mnist-softmax-2"]


def test_a_page_is_written_and_updated(programs: Programs, offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With answers made up: what counts is the file."""
    from tinysight.benchmarks.measure import Outcome
    from tinysight.verbs import bench_train as verb

    monkeypatch.setattr(verb, "_warm_up", lambda bench: None)
    made = Outcome(figures={}, measured="3.0 times", is_met=True, lines=["- a line"])
    monkeypatch.setitem(
        MEASURES, "predict", Measure(name="predict", title="t", against="a", goal="g", take=lambda _: made)
    )
    page = offline / "docs" / "benchmarks.md"
    verb.bench_train(measures=["predict"], out=page, note="fold-5", data_dir="somewhere")
    text = page.read_text(encoding="utf-8")
    section = text.partition("<!-- begin predict -->")[2].partition("<!-- end predict -->")[0]
    assert "- a line" in section
    assert "- command: `tinysight bench train --data-dir DATA --measure predict --rounds 3`" in section
    assert "- fold-5" in section
    assert "- versions: python " in section
    assert "somewhere" not in text
    assert "| `predict` | t | a | g | 3.0 times | yes |" in text
    page.write_text(text.replace("## predict", "## My own words\n\n## predict"), encoding="utf-8")
    verb.bench_train(measures=["predict"], out=page, note="public")
    again = page.read_text(encoding="utf-8")
    assert "## My own words" in again
    assert "- public" in again
    assert "- fold-5" not in again


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--measure", "memori"), "did you mean 'memory'?"),
        (("--measure", "gpu-94"), "gpu-94 cannot be measured here: it needs a GPU"),
        (("--measure", "predict"), "cifar10 is not on disk"),
        (("--measure", "tiny", "--rehearse", "--out", "page.md"), "leave out --out or --rehearse"),
        (("--measure", "tiny", "--rehearse", "--keep", "."), "holds something already: name a new folder with --keep"),
        (("--measure", "tiny", "--rehearse", "--keep", "mine.md/x"), "cannot keep runs in mine.md/x"),
        (("--measure", "tiny", "--out", "mine.md"), "mine.md is no page of this command"),
        (("--rounds", 0), "0 is not in the range"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_mistakes(words: tuple[Any, ...], message: str, programs: Programs, command: Command, offline: Path) -> None:
    (offline / "mine.md").write_text("# Mine\n", encoding="utf-8")
    status, out, err = command("bench", "train", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert programs.commands == []
    assert (offline / "mine.md").read_text(encoding="utf-8") == "# Mine\n"


def test_an_installation_without_the_programs(
    programs: Programs, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benches, "__file__", str(tmp_path / "a" / "b" / "c" / "bench.py"))
    status, _, err = command("bench", "train", "--measure", "tiny")
    assert status == 2
    assert "run this from a checkout" in err
