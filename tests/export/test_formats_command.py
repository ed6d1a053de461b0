"""`tinysight export`: whole commands on real runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folders import fit_last_layer, make_hard_to_quantize, make_run, write_own_code
from whole_commands import Trained

from tinysight.data import catalog
from tinysight.files import read_json, write_json
from tinysight.recipe import make_recipe
from tinysight.runs import Run

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def own_code(tmp_path_factory: pytest.TempPathFactory, keras_module: Any) -> Path:
    return write_own_code(tmp_path_factory.mktemp("own-code"))


@pytest.fixture
def make_own(own_code: Path, tmp_path: Path) -> Callable[[str], Run]:
    """A run of one function in the person's own file."""
    from tinysight.models.registry import build_net

    def make(function: str) -> Run:
        data, recipe = catalog.load("mnist-5k"), make_recipe({"name": "own", "model": f"{own_code}:{function}"})
        net = build_net(recipe, data.image_shape, 10)
        if function == "hard_to_quantize":
            make_hard_to_quantize(net, data)
        elif function == "halved":
            fit_last_layer(net, data)
        return make_run(tmp_path / function, recipe, data, net)

    return make


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the worker's job done here: TensorFlow is loaded already, and another test starts the process."""
    from tinysight.export import build, worker

    def work(job: worker.Job, folder: Path) -> dict[str, Any]:
        worker.write_job(job, folder)
        worker.main(folder)
        return worker.read_result(folder)

    monkeypatch.setattr(build, "start_worker", work)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_four_formats_of_a_trained_run(command: Command, trained: Trained, tmp_path: Path) -> None:
    from tinysight.export.litert_model import LiteRTModel
    from tinysight.serving.predictor import Predictor

    formats = ["onnx", "litert", "saved-model", "keras"]
    options = [word for name in formats for word in ("--format", name)]
    status, out, err = command("export", trained.run.folder, *options, "--out", tmp_path / "out", "--json")
    assert status == 0, err
    records = json.loads(out)
    assert [(record["format"], record["quantize"]) for record in records] == [(name, None) for name in formats]
    for record in records:
        assert record["max_probability_difference"] <= 1e-4
        assert (record["label_agreement"], record["accuracy_difference"], record["num_images"]) == (1, 0, 1000)
        assert record["accuracy"] == pytest.approx(trained.summary["test_accuracy"], abs=1e-9)
        path = Path(record["path"])
        size = sum(each.stat().st_size for each in [path, *path.rglob("*")] if each.is_file())
        assert record["bytes"] == size > 10_000
    assert names_in(tmp_path / "out") == ["model.keras", "model.onnx", "model.tflite", "saved-model"]
    images = catalog.load("mnist-5k").test.images[:7]
    onnx, litert = Predictor(tmp_path / "out" / "model.onnx"), LiteRTModel(tmp_path / "out" / "model.tflite")
    np.testing.assert_allclose(onnx.predict(images), litert.predict(images), atol=1e-5)
    assert onnx.info == litert.info
    assert onnx.info.class_names == tuple("0123456789")
    assert onnx.info.extra["run"] == trained.run.name
    assert onnx.info.extra["data"] == "mnist-5k"


@pytest.mark.usefixtures("in_this_process")
def test_int8_that_loses_too_much_is_not_kept(command: Command, make_own: Callable[[str], Run]) -> None:
    run = make_own("hard_to_quantize")
    words = ["export", run.folder, "--quantize", "int8", "--format", "onnx"]
    status, out, err = command(*words, "--format", "litert")
    assert (status, out, names_in(run.exports)) == (2, "", [])
    assert "tinysight: ONNX int8 loses " in err
    assert "tinysight: LiteRT int8 loses " in err
    assert "points of accuracy on 1,000 held-out images; more than 1 needs --force" in err

    status, out, err = command(*words, "--force", "--json")
    assert (status, names_in(run.exports)) == (0, ["model-int8.onnx"])
    (record,) = json.loads(out)
    assert record["quantize"] == "int8"
    assert record["accuracy_difference"] < -0.01
    assert "kept because of --force" in err


@pytest.mark.usefixtures("in_this_process")
def test_what_passes_is_kept_when_another_format_fails(command: Command, make_own: Callable[[str], Run]) -> None:
    run = make_own("erf")
    run.exports.mkdir()
    (run.exports / "model.keras").write_text("of an earlier export")
    status, out, err = command("export", run.folder, "--format", "litert", "--format", "keras")
    assert (status, names_in(run.exports)) == (1, ["model.keras"])
    assert (run.exports / "model.keras").stat().st_size > 1000
    assert "LiteRT cannot express layer 'erfinv" in err
    assert out.splitlines()[1].startswith("Keras file")


def test_code_of_ones_own_is_run_only_when_named(
    command: Command, make_own: Callable[[str], Run], own_code: Path, in_this_process: None
) -> None:
    import keras

    run = make_own("halved")
    # As in a process that has not run the code yet.
    keras.saving.get_custom_objects().pop("own>Halve")
    status, out, err = command("export", run.folder, "--format", "onnx", "--format", "litert")
    assert (status, out, names_in(run.exports)) == (2, "", [])
    assert "no export to ONNX, LiteRT" in err
    assert "'Halve'" in err
    assert f"--model {own_code}:halved" in err


def test_conversion_is_tensorflows_whatever_the_backend(
    command: Command, make_own: Callable[[str], Run], own_code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_own("halved")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    # A file of that name beside the pictures is none of the exporting process's business.
    Path("keras.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    status, out, err = command("export", run.folder, "--format", "onnx", "--model", f"{own_code}:halved", "--json")
    assert status == 0, err
    (record,) = json.loads(out)
    assert record["accuracy"] > 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--format", "onix"), "unknown format 'onix': did you mean 'onnx'?"),
        ((), "no format came"),
        (("--format", "keras", "--quantize", "int8"), "not for keras"),
        (("--format", "onnx", "--quantize", "int4"), "unknown quantization 'int4'"),
    ],
)
def test_wrong_words(command: Command, trained: Trained, words: tuple[str, ...], message: str) -> None:
    status, out, err = command("export", trained.run.folder, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_nothing_in_the_way_is_replaced(command: Command, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("mine")
    status, _, err = command("export", trained.run.folder, "--format", "onnx", "--out", tmp_path)
    assert status == 2
    assert "model.onnx exists already" in err
    assert (tmp_path / "model.onnx").read_text() == "mine"
    status, _, err = command("export", trained.run.folder, "--format", "onnx", "--out", tmp_path / "model.onnx")
    assert status == 2
    assert "is a file; expected a folder" in err


def test_without_its_data_a_run_is_not_exported(command: Command, make_own: Callable[[str], Run]) -> None:
    run = make_own("functional")
    write_json(run.data, read_json(run.data) | {"name": "cifar10"})
    status, _, err = command("export", run.folder, "--format", "onnx", "--data-dir", run.folder)
    assert (status, names_in(run.exports)) == (2, [])
    assert "cifar10" in err
    write_json(run.data, read_json(run.data) | {"name": "mnist-5k", "class_names": list("abcdefghij")})
    status, _, err = command("export", run.folder, "--format", "onnx")
    assert (status, names_in(run.exports)) == (2, [])
    assert "is not what the run was trained on" in err


def test_litert_without_its_runtime(command: Command, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    status, _, err = command("export", trained.run.folder, "--format", "onnx", "--format", "litert")
    assert status == 2
    assert "pip install 'tinysight[litert]'" in err


def test_no_run(command: Command, tmp_path: Path) -> None:
    status, _, err = command("export", tmp_path / "nowhere", "--format", "onnx")
    assert status == 2
    assert "no run at" in err


def test_weights_that_do_not_fit_the_named_code(make_own: Callable[[str], Run], own_code: Path) -> None:
    from tinysight.errors import ModelError
    from tinysight.export.loading import load_for_export

    with pytest.raises(ModelError, match="do not fit"):
        load_for_export(make_own("halved"), f"{own_code}:functional")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
@pytest.mark.parametrize("is_in_worker", [False, True])
def test_a_full_temporary_folder_is_said_in_one_line(
    is_in_worker: bool, command: Command, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource
    import signal

    from tinysight.export import build, worker

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    start_worker = worker.start_worker

    def start_with_little_room(job: worker.Job, folder: Path) -> dict[str, Any]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        return start_worker(job, folder)

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        if is_in_worker:
            monkeypatch.setattr(build, "start_worker", start_with_little_room)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        status, out, err = command("export", trained.run.folder, "--format", "keras", "--out", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert (status, out) == (2, "")
    assert "the disk is full: the temporary folder" in err.splitlines()[-1]
    assert err.endswith("free some space, or name another folder with TMPDIR\n")
