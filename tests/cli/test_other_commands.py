"""`evaluate`, `recipes`, `devices` and the command line itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from whole_commands import Trained, run_command

from tinysight.recipe import load_recipe, recipe_names
from tinysight.runs import Run

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(trained: Trained, offline: Path) -> Run:
    """A copy of the shared run that a test may add to."""
    shutil.copytree(trained.run.folder, offline / "run")
    return Run(offline / "run")


def put_digits(folder: Path, counts: dict[str, int], side: int) -> None:
    """Test images of MNIST 5k as pictures of another size, in a folder for each class."""
    from PIL import Image

    from tinysight.data import catalog

    test = catalog.load("mnist-5k").test
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number, row in enumerate(np.flatnonzero(test.labels == int(name))[:count]):
            Image.fromarray(test.images[row, :, :, 0]).resize((side, side)).save(folder / name / f"{number}.png")


class TestEvaluate:
    def test_json(self, command: Command, run: Run, trained: Trained) -> None:
        status, out, err = command("evaluate", "run", "--json")
        assert (status, err) == (0, "")
        result = json.loads(out)
        assert result["accuracy"] == trained.summary["test_accuracy"]
        assert result["loss"] == pytest.approx(trained.summary["test_loss"])
        assert result["interval"] == trained.summary["test_accuracy_interval"]
        assert (result["data"], result["split"], result["num_examples"]) == ("mnist-5k", "test", 1000)
        confusion = result["confusion"]
        assert sum(map(sum, confusion)) == 1000
        assert [sum(row) for row in confusion] == [100] * 10
        assert sum(confusion[k][k] for k in range(10)) == round(1000 * result["accuracy"])
        assert [entry["name"] for entry in result["per_class"]] == list("0123456789")
        assert Path(result["confusion_plot"]).is_file()

    def test_words(self, command: Command, run: Run) -> None:
        status, out, err = command("evaluate", "run")
        assert (status, err) == (0, "")
        assert out.startswith("mnist-5k, test split, 1,000 images, each counted once\n")
        assert "95 % interval" in out
        table = out[out.index("true, predicted") :].splitlines()[1:11]
        assert sum(int(cell) for row in table for cell in row.split()[1:]) == 1000

    def test_the_training_split(self, command: Command, run: Run) -> None:
        status, out, _ = command("evaluate", "run", "--split", "train", "--json")
        assert (status, json.loads(out)["num_examples"]) == (0, 4000)

    def test_a_folder_of_new_pictures_is_scored_whole(self, command: Command, run: Run, offline: Path) -> None:
        put_digits(offline / "new", {"3": 5, "7": 2}, side=20)
        status, out, err = command("evaluate", "run", "--data", "new")
        assert (status, err) == (0, "")
        assert out.startswith("new, all of it, 7 images, each counted once\n")
        result = json.loads(command("evaluate", "run", "--data", "new", "--json")[1])
        assert (result["split"], result["num_examples"]) == ("all", 7)
        assert [sum(row) for row in result["confusion"]] == [0, 0, 0, 5, 0, 0, 0, 2, 0, 0]
        # Digits that were enlarged and are brought back are read as the ones in the data set are.
        assert result["accuracy"] > 0.7

    def test_a_folder_with_splits(self, command: Command, run: Run, offline: Path) -> None:
        put_digits(offline / "new" / "test", {"1": 3, "2": 1}, side=28)
        result = json.loads(command("evaluate", "run", "--data", "new", "--json")[1])
        assert (result["split"], result["num_examples"]) == ("test", 4)
        status, out, err = command("evaluate", "run", "--data", "new", "--split", "train")
        assert (status, out) == (2, "")
        assert "has no images of the split train; it has test" in err

    def test_classes_that_the_model_does_not_know(self, command: Command, run: Run, offline: Path) -> None:
        put_digits(offline / "new", {"3": 1}, side=28)
        put_digits(offline / "new" / "cat", {"3": 1}, side=28)
        (offline / "new" / "cat" / "3" / "0.png").rename(offline / "new" / "cat" / "0.png")
        (offline / "new" / "cat" / "3").rmdir()
        status, out, err = command("evaluate", "run", "--data", "new")
        assert (status, out) == (2, "")
        assert "new has classes that the model does not know (cat); expected some of the model's 10: 0, 1, 2" in err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("gone",), "tinysight: no run at 'gone': expected the folder that `tinysight train` printed"),
            ((".",), "tinysight: '.' is no run folder: it has no recipe.toml"),
            (("run", "--data", "mnst"), "tinysight: unknown data set"),
            (
                ("run", "--data", "cifar10", "--data-dir", "run"),
                "tinysight: 'run' holds no folder cifar-10-batches-bin",
            ),
        ],
    )
    def test_refused(self, words: tuple[str, ...], message: str, command: Command, run: Run) -> None:
        status, out, err = command("evaluate", *words)
        assert (status, out) == (2, "")
        assert err.startswith(message)

    def test_without_onnx_keras_does_it(self, command: Command, run: Run, trained: Trained) -> None:
        run.onnx_model.unlink()
        status, out, _ = command("evaluate", "run", "--json")
        assert (status, json.loads(out)["accuracy"]) == (0, pytest.approx(trained.summary["test_accuracy"], abs=2e-3))
        run.keras_model.unlink()
        status, _, err = command("evaluate", "run")
        assert (status, "holds neither model.onnx nor model.keras" in err) == (2, True)


class TestRecipes:
    def test_list(self, command: Command) -> None:
        status, out, err = command("recipes")
        assert (status, err) == (0, "")
        assert [line.split()[0] for line in out.splitlines()[1:]] == recipe_names()
        assert "122,570     70.76%" in out

    def test_list_json(self, command: Command) -> None:
        status, out, _ = command("recipes", "--json")
        records = json.loads(out)
        assert status == 0
        assert [record["name"] for record in records] == recipe_names()
        assert all(
            set(record) >= {"name", "data", "parameters", "published_accuracy", "description"} for record in records
        )

    def test_show_is_a_recipe_file(self, command: Command, offline: Path) -> None:
        status, out, _ = command("recipes", "show", "leaky-adamax", "--set", "epochs=3")
        assert status == 0
        assert out.startswith("# Four convolutions with leaky ReLU")
        (offline / "a.toml").write_text(out, encoding="utf-8")
        assert load_recipe("a.toml") == load_recipe("leaky-adamax", epochs=3)

    def test_summary_and_explanation(self, command: Command) -> None:
        status, out, _ = command("recipes", "show", "tensorflow", "--summary", "--explain")
        assert status == 0
        assert "Total params: 122,570" in out
        assert "32 to 30 by a valid 3x3 window" in out
        assert "896 = (3x3x3+1)x32" in out
        assert "\x1b" not in out

    def test_show_json(self, command: Command) -> None:
        status, out, _ = command("recipes", "show", "day4", "--json", "--explain", "--summary")
        value = json.loads(out)
        assert (status, value["parameters"], len(value["explanation"])) == (0, 315_722, 8)
        assert "Total params: 315,722" in value["summary"]
        assert set(value["explanation"][0]) == {"layer", "words"}

    def test_a_file_of_ones_own(self, command: Command, offline: Path) -> None:
        (offline / "a.toml").write_text('# Mine.\nlayers = ["dense 5"]\ndata = "mnist-5k"\n', encoding="utf-8")
        status, out, _ = command("recipes", "show", "a.toml", "--summary")
        assert (status, "Total params: 3,985" in out) == (0, True)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("show", "day3"), "unknown recipe 'day3': did you mean 'day4'?"),
            (("show", "day4", "--set", "padding=sane"), "padding = 'sane': input should be 'same' or 'valid'"),
            (("show", "day4", "--set", "layers=cnv 3", "--summary"), "unknown layer 'cnv': did you mean 'conv'?"),
            (("shw",), "Did you mean 'show'?"),
            (("--jsn",), "Did you mean '--json'?"),
        ],
    )
    def test_refused(self, words: tuple[str, ...], message: str, command: Command) -> None:
        status, out, err = command("recipes", *words)
        assert (status, out) == (2, "")
        assert message in err


class TestDevices:
    def test_json(self, command: Command) -> None:
        status, out, err = command("devices", "--json")
        assert (status, err) == (0, "")
        first = json.loads(out)[0]
        assert (first["name"], first["kind"], first["backend"]) == ("cpu", "cpu", "tensorflow")

    def test_words(self, command: Command) -> None:
        status, out, _ = command("devices")
        assert status == 0
        assert out.startswith("cpu      ")
        assert "(backend: tensorflow)" in out


class TestItself:
    def test_help_lists_every_command(self, command: Command) -> None:
        from tinysight.cli.main import COMMANDS

        status, out, _ = command("--help")
        assert status == 0
        for name in COMMANDS:
            assert f"\n  {name} " in out

    def test_every_command_has_help(self, command: Command) -> None:
        from tinysight.cli.main import COMMANDS

        for name in COMMANDS:
            status, out, _ = command(name, "--help")
            assert (status, out.startswith(f"Usage: tinysight {name}")) == (0, True)

    def test_version(self, command: Command) -> None:
        import importlib.metadata

        assert command("--version") == (0, f"tinysight {importlib.metadata.version('tinysight')}\n", "")

    def test_no_command_shows_help(self, command: Command) -> None:
        status, out, err = command()
        assert status == 2
        assert "Usage: tinysight" in out + err

    def test_a_console_that_lacks_a_letter(self, tmp_path: Path) -> None:
        import os
        import subprocess
        import sys

        done = subprocess.run(
            [sys.executable, "-m", "tinysight", "train", "й"], cwd=tmp_path, capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "cp1252:strict", "PYTHONUTF8": "0"},
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith(b"tinysight: unknown recipe '?'")

    def test_a_reader_that_goes_away(self, tmp_path: Path) -> None:
        import subprocess
        import sys

        process = subprocess.Popen(
            [sys.executable, "-m", "tinysight", "recipes", "show", "day4"], cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.stderr.close()
        assert process.wait() == 1
        assert b"Traceback" not in err

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("words", [("recipes",), ("--help",), ("devices", "--json")])
    def test_a_full_disk(self, tmp_path: Path, words: tuple[str, ...], unbuffered: str) -> None:
        import os
        import subprocess
        import sys

        start = [sys.executable, "-m", "tinysight", *words]
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                start, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False
            )
            silent = subprocess.run(start, cwd=tmp_path, stdout=full, stderr=full, env=environment, check=False)
        assert done.stderr == (
            "tinysight: the disk is full: the output was not written whole; free some space and try again\n"
        )
        assert (done.returncode, silent.returncode) == (2, 2)

    def test_as_a_module(self, tmp_path: Path) -> None:
        done = run_command("--version", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
