"""What a search does with its workers, without a cluster: whom a question is about, and when a trial is given up."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_data import stripes

from tinysight.cluster.group import WorkersDiedError
from tinysight.images import DataSet
from tinysight.jobs import search as job
from tinysight.jobs.search_workers import Round, TrialWorker, _lost
from tinysight.jobs.study import ask, finished, open_study, quiet_optuna
from tinysight.recipe import make_recipe

pytest.importorskip("optuna")


def test_a_question_about_another_trial_than_the_one_that_runs() -> None:
    """A worker may be asked before it has begun what it was told to: it answers nothing of the trial before."""
    worker = TrialWorker(None, "cpu")
    worker.number, worker.scores = 3, [(1, 0.5), (2, 0.75)]
    assert worker.scores_after(3, 1) == [(2, 0.75)]
    assert worker.scores_after(4, 0) == []


def test_a_trial_that_every_worker_dies_of_fails(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("batch_size = [8, 16]", encoding="utf-8")
    data, said = DataSet(name="stripes", train=stripes(40), test=stripes(8)), list[str]()
    recipe = make_recipe({"layers": ["pool", "dense 4"], "validation": "stratified"})
    search = job.begin(recipe, tmp_path / "space.toml", data, out=tmp_path / "search", data_dir=None, say=said.append)
    study = open_study(search.folder)
    all_of_it = Round(search=search, study=study, data=None, seats=[], num_trials=1)
    with quiet_optuna():
        for _ in range(3):
            assert finished(study) == []
            _lost(all_of_it, ask(study, search.space, seed=0), WorkersDiedError("a worker died"))
    assert len({trial.params["batch_size"] for trial in study.trials}) == 1
    assert said[:2] == [f"trial {number}: a worker died; it is begun again" for number in (0, 1)]
    assert said[2].startswith("trial 2: failed, a worker died, 3 times; `ray logs` tells more  (batch_size ")
    assert [trial.number for trial in finished(study)] == [2]
