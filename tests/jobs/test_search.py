"""`tinysight tune`: real searches of tiny nets, killed, resumed and joined; what they may see, and what they say."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import stripes
from whole_commands import arguments, environment

from tinysight.errors import DiskFullError, TrainingStoppedError
from tinysight.images import DataSet
from tinysight.jobs import search as job
from tinysight.jobs import study as studies
from tinysight.jobs.space import parse_space
from tinysight.jobs.trial import Outcome
from tinysight.recipe import load_recipe, make_recipe
from tinysight.runs import SearchFolder
from tinysight.training.history import read_history

pytest.importorskip("optuna")

Command = Callable[..., tuple[int, str, str]]
SPACE = """
layers = [["pool", "dense 4"], ["conv 3", "pool"]]
[learning_rate]
low = 1e-4
high = 0.1
log = true
[batch_size]
low = 8
high = 32
step = 8
"""
FIELDS = ("mnist-softmax", "--set", "epochs=2", "--set", "validation=stratified")


@pytest.fixture
def pictures(offline: Path) -> Path:
    images = stripes(120)
    np.savez(offline / "stripes.npz", images=images.images, labels=images.labels)
    (offline / "space.toml").write_text(SPACE, encoding="utf-8")
    return offline / "stripes.npz"


def test_a_search_that_is_joined_killed_and_goes_on(
    pictures: Path, command: Command, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("tune", *FIELDS, "--data", pictures, "--space", "space.toml", "--out", "search", "--trials")
    process = subprocess.Popen(
        arguments(*words, 500), cwd=offline, env=environment(offline / "empty-cache"), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith("trial 0: "):
                break
        # More than the other one can do before this one has begun.
        status, _, joined = command("tune", "--resume", "search", "--trials", 8)
        assert status == 0, joined
    finally:
        process.kill()
        told = line + process.communicate()[1]
    folder = SearchFolder(offline / "search")
    before = studies.finished(studies.open_study(folder))
    # Each tells its own trials, and no other.
    ours, theirs = (re.findall(r"^trial (\d+): ", text, re.MULTILINE) for text in (joined, told))
    assert ours
    assert len({*ours, *theirs}) == len(ours) + len(theirs)
    assert {*ours, *theirs} <= {str(trial.number) for trial in before}
    assert len(before) >= 8
    # What the dead process was at is given up at once, rather than after a minute.
    monkeypatch.setattr(studies, "GIVEN_UP_AFTER", 1)
    monkeypatch.setattr(studies, "SIGN_EVERY", 1)
    time.sleep(1.1)
    wanted = len(before) + 2
    status, out, err = command("tune", "--resume", "search", "--trials", wanted, "--json")
    assert status == 0, err
    result = json.loads(out)
    trials = studies.finished(studies.open_study(folder))
    assert (result["num_trials"], len(trials)) == (wanted, wanted)
    assert [trial.params for trial in trials[: len(before)]] == [trial.params for trial in before]
    assert len({trial.params["learning_rate"] for trial in trials}) == wanted
    best = max((trial for trial in trials if trial.state.name == "COMPLETE"), key=lambda trial: trial.value)
    assert result["best_validation_accuracy"] == best.value
    # A history file holds seven figures.
    assert best.value == pytest.approx(read_history(folder.history(best.number))[-1]["val_accuracy"], rel=1e-6)
    recipe = load_recipe(str(folder.best))
    assert recipe.learning_rate == best.params["learning_rate"]
    assert list(recipe.layers) == json.loads(best.params["layers"])
    page = folder.report.read_text(encoding="utf-8")
    assert f"tinysight train {Path('search') / 'best.toml'}" in page
    assert "Trial by trial" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    # The same again: nothing is left to do.
    assert command("tune", "--resume", "search", "--trials", wanted)[0] == 0
    assert len(studies.finished(studies.open_study(folder))) == wanted
    status, _, err = command("train", folder.best, "--no-report", "--epochs", 1)
    assert status == 0, err


class Unseen:
    """A test split that nobody may look at."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the test split was asked for its {name}")

    def __len__(self) -> int:
        raise AssertionError("the test split was counted")


def begun(folder: Path, text: str, **fields: Any) -> job.Search:
    (folder / "own-space.toml").write_text(text, encoding="utf-8")
    data = DataSet(name="stripes", train=stripes(120), test=Unseen())  # type: ignore[arg-type]
    base = make_recipe({"layers": ["pool", "dense 4"], "epochs": 2, **fields})
    said: list[str] = []
    search = job.begin(base, folder / "own-space.toml", data, out=folder / "search", data_dir=None, say=said.append)
    search.__dict__["said"] = said
    return search


def test_two_that_ask_at_once_draw_apart_and_a_seed_draws_again_what_it_drew(tmp_path: Path) -> None:
    space = parse_space(SPACE, "space file s")
    drawn = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        # Both look before either begins a trial, as two processes may.
        one, other = (studies.open_study(SearchFolder(tmp_path / name)) for _ in range(2))
        assert len(one.trials) == len(other.trials) == 0
        with studies.quiet_optuna():
            trials = [studies.ask(study, space, 7) for study in (one, other, one)]
        drawn.append([trial.params["learning_rate"] for trial in trials])
    assert len(set(drawn[0])) == 3
    assert drawn[0] == drawn[1]


def test_the_test_split_is_never_looked_at(keras_module: Any, tmp_path: Path) -> None:
    search = begun(tmp_path, SPACE, validation="test")
    said = search.__dict__["said"]
    assert said == ["validation=stratified instead of test: a search may not look at the test split"]
    study = job.run_trials(search, 2)
    assert [trial.state.name for trial in studies.finished(study)] == ["COMPLETE", "COMPLETE"]
    assert search.num_validation == 12
    assert said[1].startswith("trial 0: ")
    assert " of 12 validation images  (layers " in said[1]


def test_trials_that_cannot_be(keras_module: Any, tmp_path: Path) -> None:
    search = begun(tmp_path, "translate = [20, 30]\n[dropout]\nlow = 0.1\nhigh = 0.2")
    with pytest.raises(TrainingStoppedError, match=r"the first 3 trials all failed: translate=\d+ leaves nothing"):
        job.run_trials(search, 5)
    assert [trial.state.name for trial in studies.finished(studies.open_study(search.folder))] == ["FAIL"] * 3


def test_a_hopeless_trial_is_pruned(keras_module: Any, tmp_path: Path) -> None:
    """After six good trials one that learns nothing stops after the epoch in which that shows."""
    import optuna

    search = begun(tmp_path, "learning_rate = [0.01, 1e-9]\nbatch_size = [8, 16]", epochs=6)
    study = studies.open_study(search.folder)
    for number in range(studies.NUM_UNPRUNED + 1):
        values = dict.fromkeys(range(1, 7), 0.99)
        study.add_trial(
            optuna.trial.create_trial(
                params={"learning_rate": 0.01, "batch_size": 8}, value=0.99, intermediate_values=values,
                distributions={
                    "learning_rate": optuna.distributions.CategoricalDistribution([0.01, 1e-9]),
                    "batch_size": optuna.distributions.CategoricalDistribution([8, 16]),
                }, user_attrs={"parameters": number},
            )
        )  # fmt: skip
    study.enqueue_trial({"learning_rate": 1e-9, "batch_size": 8})
    last = studies.finished(job.run_trials(search, studies.NUM_UNPRUNED + 2))[-1]
    assert (last.state.name, max(last.intermediate_values)) == ("PRUNED", studies.EPOCHS_UNPRUNED + 1)
    assert search.__dict__["said"][-1].startswith("trial 6: pruned after epoch 2 at ")


def test_ctrl_c(keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinysight.training import pruning

    def interrupt(self: Any, epoch: int, logs: Any = None) -> None:
        raise KeyboardInterrupt

    search = begun(tmp_path, SPACE, epochs=3)
    monkeypatch.setattr(pruning.Pruning, "on_epoch_begin", interrupt)
    with pytest.raises(KeyboardInterrupt):
        job.run_trials(search, 2)
    study = studies.open_study(search.folder)
    assert studies.finished(study) == []
    # The trial that was running waits to be begun again, with the same values.
    ours, waiting = study.trials
    assert waiting.state.name == "WAITING"
    assert waiting.system_attrs["fixed_params"] == ours.params


def test_trials_that_wait_are_begun_one_by_one(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As several processes leave them that were interrupted together."""
    outcome = Outcome(accuracy=0.5, seconds=1.0, num_parameters=10, history=[])
    monkeypatch.setattr(job, "train_trial", lambda *words, **more: outcome)
    search = begun(tmp_path, "learning_rate = [0.01, 0.02]\nbatch_size = [8, 16]")
    study = studies.open_study(search.folder)
    for rate in (0.01, 0.02):
        study.enqueue_trial({"learning_rate": rate, "batch_size": 8})
    trials = studies.finished(job.run_trials(search, 2))
    assert [trial.params["learning_rate"] for trial in trials] == [0.01, 0.02]
    assert [line.partition(":")[0] for line in search.__dict__["said"]] == ["trial 0", "trial 1"]


def test_a_trial_that_another_process_gave_up(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one stood still for long; it goes on with what is left to do."""
    from optuna.trial import TrialState

    from tinysight.training import pruning

    def begin(self: Any, epoch: int, logs: Any = None) -> None:
        if self.trial.number == 0:
            self.trial.study._storage.set_trial_state_values(self.trial._trial_id, TrialState.FAIL)

    search = begun(tmp_path, SPACE, epochs=1)
    monkeypatch.setattr(pruning.Pruning, "on_epoch_begin", begin)
    study = job.run_trials(search, 1)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert [trial.number for trial in studies.finished(study)] == [1]
    first, second = search.__dict__["said"]
    assert first.startswith("trial 0: given up by another process, which begins it again  (layers ")
    assert second.startswith("trial 1: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "RECIPE is missing: expected a name"),
        (("qick",), "unknown recipe 'qick': did you mean 'quick'?"),
        (("day4",), "--space is missing: only model=fast has a space of its own"),
        (("quick", "--space", "gone.toml"), "cannot read the space file gone.toml"),
        (("--resume", "gone"), "no search at 'gone': expected the folder"),
        (("--resume", "gone", "--space", "a.toml"), "--space cannot be changed when a search goes on"),
        (("quick", "--resume", "gone"), "a search that goes on has its recipe"),
        (("quick", "--set", "epoch=3"), "unknown recipe field 'epoch'"),
    ],
)
def test_refused(words: tuple[str, ...], message: str, command: Command) -> None:
    status, out, err = command("tune", *words)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"tinysight: {message}")
    assert err.count("\n") == 1


def test_a_full_disk_is_no_fault_of_the_trial(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_on_a_full_disk(*_: Any, **__: Any) -> Outcome:
        raise DiskFullError("the disk is full")

    search = begun(tmp_path, SPACE)
    monkeypatch.setattr(job, "train_trial", write_on_a_full_disk)
    with pytest.raises(DiskFullError):
        job.run_trials(search, 2)
    study = studies.open_study(search.folder)
    assert studies.finished(study) == []
    assert [trial.state.name for trial in study.trials] == ["FAIL", "WAITING"]


@pytest.mark.parametrize(("names", "flip"), [(("cat", "dog"), "alternating"), (("0", "1"), "none")])
def test_a_trial_mirrors_as_the_training_of_its_recipe_does(
    keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], flip: str
) -> None:
    from tinysight.images import ImageSet
    from tinysight.jobs.trial import TrialData, train_trial
    from tinysight.training import fit

    class FittedError(Exception):
        pass

    def note(recipe: Any, *_: Any, **__: Any) -> None:
        raise FittedError(recipe.flip)

    monkeypatch.setattr(fit, "fit", note)
    images = ImageSet(
        images=np.zeros((4, 8, 8, 1), np.uint8), labels=np.array([0, 1, 0, 1], np.int32), class_names=names
    )
    data = TrialData(train=images, validation=images, rows=np.arange(4))
    recipe = load_recipe("mnist-softmax").replace(flip="auto")
    with pytest.raises(FittedError, match=flip):
        train_trial(recipe, data, history_path=tmp_path / "history.csv")
