"""What each measure runs, in which order, and what it makes of the figures; the programs are stand-ins."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tinysight.benchmarks import bench as benches
from tinysight.benchmarks import on_gpu
from tinysight.benchmarks.bench import Bench
from tinysight.benchmarks.measures import MEASURES
from tinysight.benchmarks.processes import Done
from tinysight.errors import ModelError
from tinysight.files import write_json
from tinysight.recipe import recipe_names
from tinysight.runs import Run
from tinysight.training.history import write_history


class StandIn:
    """Answers for every program as it would; `seconds` and `accuracy` say for whom how much.

    Attributes:
        order: who ran, in turn.
        commands: their words.
    """

    def __init__(self, **answers: Any) -> None:
        self.answers, self.order, self.commands = answers, list[str](), list[list[str]]()

    def __call__(self, command: Sequence[str]) -> Done:
        assert command[0] == sys.executable
        words = list(command[1:])
        self.commands.append(words)
        name, printed = self._answer(words)
        self.order.append(name)
        seconds = self.answers.get("seconds", {}).get(name, [1.0])
        nth = self.order.count(name) - 1
        return Done(
            seconds=seconds[nth % len(seconds)],
            peak_bytes=self.answers.get("peak", {}).get(name, 800_000_000),
            printed=json.dumps(printed, indent=2) if words[1] == "tinysight" else "a bar\n" + json.dumps(printed),
        )

    def _answer(self, words: list[str]) -> tuple[str, Any]:
        if words[:3] == ["-m", "tinysight", "train"]:
            return self._train(words)
        if words[:3] == ["-m", "tinysight", "predict"]:
            return "predict", []
        if words[1:2] == ["tinysight.benchmarks.matmul_rate"]:
            return "matmul", {"2048": self.answers["rate"] / 2, "4096": self.answers["rate"]}
        if words[1:2] == ["tinysight.benchmarks.predict_rate"]:
            return "predict_rate", {"num_images": 3, "seconds": [0.5, 0.1, 0.3], "classes": [1, 2, 3]}
        if words[1:2] == ["tinysight.benchmarks.warm_training"]:
            return "warm_training", {"device": "a GPU", "parameters": 7, "runs": self.answers["warm"]}
        script = Path(words[0]).name
        if script == "airbench_training.py":
            return script, {"runs": self.answers["airbench"]}
        if script == "predict_many.py":
            return script, {"num_images": 3, "seconds": [1.5, 1.0], "classes": [1, 2, 4]}
        return script, {
            "test_accuracy": self.answers.get("accuracy", {}).get(script, 0.7),
            "parameters": self.answers.get("parameters", 10),
            "epoch_seconds": [9.0, 2.0, 2.0],
            "class": 0,
        }

    def _train(self, words: list[str]) -> tuple[str, Any]:
        recipe, run = words[3], Run(words[words.index("--out") + 1])
        run.folder.mkdir()
        write_json(run.data, {"num_train": 100})
        write_history(run.history, [{"epoch": n, "seconds": s} for n, s in ((1, 5.0), (2, 6.0), (3, 7.0))])
        accuracies = self.answers.get("accuracy", {}).get(recipe, [0.75])
        accuracy = accuracies[self.order.count(recipe) % len(accuracies)]
        return recipe, {"test_accuracy": accuracy, "parameters": 10, "seconds": 0.5}


@pytest.fixture
def make_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import numpy as np

    def lay_out(name: str, data_dir: str | None, path: Path, *counts: int | None) -> None:
        assert data_dir == "DATA"
        np.savez(path, y_train=np.zeros(100, np.uint8), x_test=np.zeros((2, 32, 32, 3), np.uint8))

    monkeypatch.setattr(benches, "lay_out", lay_out)

    def make(run: StandIn, **settings: Any) -> Bench:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return Bench(folder=folder, scripts=Path("scripts"), data_dir="DATA", run=run, **settings)

    return make


def take(name: str, bench: Bench) -> Any:
    measure = MEASURES[name]
    assert measure.take is not None
    return measure.take(bench)


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_a_pair_takes_turns_with_a_new_seed_each(make_bench: Any) -> None:
    programs = StandIn(
        seconds={
            "leaky_adamax.py": [99.0, 300.0, 99.0, 320.0, 99.0, 310.0],
            "quick": [99.0, 20.0, 99.0, 10.0, 99.0, 20.0, 25.0],
        },
        accuracy={"leaky_adamax.py": 0.70, "quick": [0.1, 0.69, 0.1, 0.71, 0.1, 0.72, 0.72]},
    )
    outcome = take("quick", make_bench(programs))
    plain, ours = "leaky_adamax.py", "quick"
    # Each after an epoch of its own that is not timed; the last one is with the report.
    assert programs.order == [name for name in (plain, ours, ours, plain, plain, ours) for _ in range(2)] + [ours]
    for warming in programs.commands[:-1:2]:
        assert warming[-1] == "1" if warming[2] != "train" else option(warming, "--epochs") == "1"
    timed = [*programs.commands[1::2], programs.commands[-1]]
    trainings = [words for words in timed if words[2] == "train"]
    assert [option(words, "--seed") for words in trainings] == ["0", "1", "2", "0"]
    assert ["--no-report" in words for words in trainings] == [True, True, True, False]
    assert len({option(words, "--out") for words in trainings}) == 4
    assert all(option(words, "--data-dir") == "DATA" and "--epochs" not in words for words in trainings)
    scripts = [words for words in timed if words[2] != "train"]
    assert [words[2:] for words in scripts] == [["0"], ["1"], ["2"]]
    figures = outcome.figures
    assert figures["ratio"] == pytest.approx(310 / 20)
    assert figures["ratios"] == [15.0, 32.0, 15.5]
    assert figures["with_report"]["ratio"] == pytest.approx(310 / 25)
    assert figures["tinysight"]["accuracy"]["mean"] == pytest.approx(0.7067, abs=1e-4)
    assert (figures["is_accurate"], figures["is_fast"], outcome.is_met) == (True, True, True)
    assert "15.5 (by round: 15.0, 32.0, 15.5); goal 15" in "\n".join(outcome.lines)


@pytest.mark.parametrize(
    ("seconds", "accuracy", "fast", "accurate"),
    [(29.0, 0.70, False, True), (10.0, 0.6999, True, False)],
    ids=["slow", "wrong"],
)
def test_a_goal_that_is_missed(seconds: float, accuracy: float, fast: bool, accurate: bool, make_bench: Any) -> None:
    programs = StandIn(
        seconds={"leaky_adamax.py": [300.0], "quick": [seconds]},
        accuracy={"leaky_adamax.py": 0.70, "quick": [accuracy]},
    )
    outcome = take("quick", make_bench(programs, rounds=1))
    assert (outcome.figures["is_fast"], outcome.figures["is_accurate"], outcome.is_met) == (fast, accurate, False)


def test_mnist_has_a_fixed_target(make_bench: Any) -> None:
    programs = StandIn(accuracy={"mnist_cnn.py": 0.98, "mnist-99": [0.99]}, seconds={"mnist_cnn.py": [50.0]})
    outcome = take("mnist-99", make_bench(programs, rounds=1))
    assert outcome.figures["accuracy_goal"] == 0.9902
    assert outcome.is_met is False


def test_throughput_leaves_the_first_epoch_out(make_bench: Any) -> None:
    programs = StandIn()
    outcome = take("throughput", make_bench(programs, rounds=2))
    assert programs.order == [
        *("tensorflow_cnn.py", "tensorflow", "tensorflow", "tensorflow_cnn.py"),
        *("leaky_adamax.py", "leaky-adamax", "leaky-adamax", "leaky_adamax.py"),
    ]
    figure = outcome.figures["tensorflow"]
    # 100 images: 2 s an epoch there, 1 s here.
    assert (figure["plain"]["values"], figure["tinysight"]["values"]) == ([50.0, 50.0], [100.0, 100.0])
    assert (figure["ratio"], outcome.is_met) == (2.0, True)
    ours = next(words for words in programs.commands if words[2] == "train")
    assert (option(ours, "--epochs"), option(ours, "--set")) == ("3", "validation=none")
    theirs = next(words for words in programs.commands if words[0].endswith("tensorflow_cnn.py"))
    assert option(ours, "--data") == theirs[1]
    assert Path(theirs[1]).name == "cifar10-15000.npz"
    with pytest.raises(ModelError, match="not the same net"):
        take("throughput", make_bench(StandIn(parameters=11), rounds=1))


def test_the_time_that_the_arithmetic_takes(make_bench: Any) -> None:
    programs = StandIn(
        rate=200e9, seconds={"cifar10-94": [1500.0, 1600.0]}, accuracy={"cifar10-94": [0.941, 0.939, 0.942]}
    )
    outcome = take("cifar10-94", make_bench(programs, seeds=3))
    assert programs.order == ["matmul", *["cifar10-94", "matmul"] * 3]
    assert [option(w, "--seed") for w in programs.commands if w[2] == "train"] == ["0", "1", "2"]
    figures = outcome.figures
    # 0.29e15 operations at 200e9 a second.
    assert figures["published_seconds"] == pytest.approx(1450)
    assert figures["allowed_seconds"] == pytest.approx(1740)
    assert figures["ratio"] == pytest.approx(1500 / 1450)
    assert outcome.is_met is True
    slow = StandIn(rate=300e9, seconds={"cifar10-94": [1500.0]}, accuracy={"cifar10-94": [0.95]})
    assert take("cifar10-94", make_bench(slow, seeds=1)).is_met is False
    wrong = StandIn(rate=200e9, seconds={"cifar10-94": [1500.0]}, accuracy={"cifar10-94": [0.9399]})
    assert take("cifar10-94", make_bench(wrong, seeds=1)).is_met is False


def test_prediction(make_bench: Any) -> None:
    programs = StandIn(seconds={"predict_one.py": [9.0], "predict": [0.5]})
    outcome = take("predict", make_bench(programs, rounds=1))
    figure = outcome.figures["tensorflow"]
    # Medians of the passes: 1.25 s there, 0.3 s here.
    assert figure["many"]["ratio"] == pytest.approx(1.25 / 0.3)
    assert (figure["many"]["num_other_classes"], figure["many"]["num_images"]) == (1, 3)
    assert figure["one"]["ratio"] == 18.0
    assert outcome.is_met is True
    assert "with another class on the two sides: 2." in outcome.lines[-1]


def test_memory_is_the_largest_peak(make_bench: Any) -> None:
    outcome = take("memory", make_bench(StandIn(peak={"quick": 1_000_000_001}), rounds=2))
    assert outcome.is_met is False
    assert outcome.figures["quick"]["plain_values"] == []
    assert take("memory", make_bench(StandIn(peak={"quick": 10**9}), rounds=1)).is_met is True
    unknown = take("memory", make_bench(StandIn(peak={"quick": None}), rounds=1))
    assert (unknown.is_met, unknown.measured) == (None, "at most not told")


def runs(seconds: float, *accuracies: float) -> list[dict[str, float]]:
    return [{"seconds": seconds, "accuracy": accuracy} for accuracy in accuracies]


def test_seconds_on_a_gpu(make_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_gpu, "has_airbench", lambda: True)
    programs = StandIn(warm=runs(1.25, 0.939, 0.942), airbench=runs(2.5, 0.9401))
    outcome = take("gpu-94", make_bench(programs))
    assert (outcome.is_met, outcome.measured) == (True, "94.05% in 1.25 s")
    assert [words[-1] for words in programs.commands] == ["25", "25"]
    assert programs.commands[0][2] == "cifar10-94"
    assert programs.commands[1][1] == "94"
    assert "| airbench | 2.50 s (2.50 s to 2.50 s) | 94.01% (94.01% to 94.01%) | 1 |" in outcome.lines
    for warm, peer in ((runs(1.25, 0.9399), 2.5), (runs(1.5, 0.95), 2.5), (runs(1.4, 0.95), 1.4)):
        slow = StandIn(warm=warm, airbench=runs(peer, 0.94))
        assert take("gpu-94", make_bench(slow)).is_met is False


def test_seconds_on_a_gpu_with_nobody_beside(make_bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_gpu, "has_airbench", lambda: False)
    fast = StandIn(warm=runs(10.0, 0.961))
    outcome = take("gpu-96", make_bench(fast))
    assert (outcome.is_met, fast.order) == (None, ["warm_training"])
    assert "| airbench | not installed | - | - |" in outcome.lines
    assert take("gpu-96", make_bench(StandIn(warm=runs(12.5, 0.961)))).is_met is False
    rehearsal = StandIn(warm=runs(1.0, 0.1))
    take("gpu-94", make_bench(rehearsal, rehearse=True))
    assert rehearsal.commands[0][-2:] == ["1", "1"]


def test_every_measure_is_complete() -> None:
    for name, measure in MEASURES.items():
        assert name == measure.name
        assert all([measure.title, measure.against, measure.goal])
        assert measure.needs_gpu == name.startswith("gpu-")
        assert measure.data
        assert set(measure.recipes) <= set(recipe_names())
