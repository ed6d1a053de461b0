"""`tinysight predict` as a whole command, and its plain functions."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysight.errors import ImageError, InvalidValueError, ModelError, RunError
from tinysight.pixels import decode_image
from tinysight.runs import Run
from tinysight.serving.image_paths import find_images, natural_order
from tinysight.serving.predictor import Predictor
from tinysight.verbs.predict import BATCH_SIZE, predict_files, predict_images

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
from onnx_models import CLASS_NAMES, IMAGE_SHAPE, make_info, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model.onnx")


def save(path: Path, seed: int = 0, size: tuple[int, int] = (20, 30)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def command(*arguments: object, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tinysight", "predict", *map(str, arguments)], cwd=cwd, input=stdin, capture_output=True
    )


def expected_classes(model: Path, path: Path, top: int = 3) -> list[tuple[str, float]]:
    scores = Predictor(model).predict(decode_image(path, IMAGE_SHAPE)[np.newaxis])[0]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[:top]
    return [(CLASS_NAMES[index], float(scores[index])) for index in order]


def as_pairs(record: dict[str, object]) -> list[tuple[str, float]]:
    return [(entry["name"], entry["score"]) for entry in record["classes"]]  # type: ignore[union-attr,index]


class TestCommand:
    def test_json(self, model: Path, tmp_path: Path) -> None:
        paths = [save(tmp_path / "a.png", 1), save(tmp_path / "sub" / "b.jpg", 2)]
        done = command(model, "a.png", "sub", "--json", "--top", "2", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, b"")
        records = json.loads(done.stdout)
        assert [Path(record["path"]) for record in records] == [Path("a.png"), Path("sub/b.jpg")]
        for record, path in zip(records, paths, strict=True):
            assert set(record) == {"path", "classes"}
            wanted = expected_classes(model, path, top=2)
            assert [name for name, _ in as_pairs(record)] == [name for name, _ in wanted]
            np.testing.assert_allclose(
                [score for _, score in as_pairs(record)], [score for _, score in wanted], atol=1e-6
            )

    def test_rows_are_aligned(self, model: Path, tmp_path: Path) -> None:
        save(tmp_path / "a.png")
        save(tmp_path / "long-name.png")
        done = command(model, "a.png", "long-name.png", cwd=tmp_path)
        assert done.returncode == 0
        first, second = done.stdout.decode().splitlines()
        (best, score), *_ = expected_classes(model, tmp_path / "a.png")
        start = len("long-name.png") + 3
        assert first[:start] == "a.png".ljust(start)
        assert first[start:].startswith(f"{best} {score:.4f}")
        assert second.startswith("long-name.png   ")

    def test_bad_files_are_named_and_the_rest_go_on(self, model: Path, tmp_path: Path) -> None:
        save(tmp_path / "good.png")
        (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:-200])
        (tmp_path / "words.txt").write_text("hello", encoding="utf-8")
        arguments = ["bad.png", "words.txt", "gone.png", "good.png"]
        done = command(model, *arguments, "--json", cwd=tmp_path)
        assert done.returncode == 1
        records = json.loads(done.stdout)
        assert [record["path"] for record in records] == arguments
        assert [sorted(record) for record in records] == [["error", "path"]] * 3 + [["classes", "path"]]
        assert "damaged or cut off" in records[0]["error"]
        assert "not an image" in records[1]["error"]
        assert "no such file" in records[2]["error"]

        done = command(model, *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert [line.split()[0] for line in done.stdout.decode().splitlines()] == ["good.png"]
        errors = done.stderr.decode().splitlines()
        assert [line.split(":")[1].strip() for line in errors] == arguments[:3]
        assert all(line.startswith("tinysight: ") for line in errors)

    def test_standard_input(self, model: Path, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png")
        done = command(model, "-", "--json", cwd=tmp_path, stdin=path.read_bytes())
        (record,) = json.loads(done.stdout)
        assert record["path"] == "-"
        assert [name for name, _ in as_pairs(record)] == [name for name, _ in expected_classes(model, path)]
        done = command(model, "-", "--json", cwd=tmp_path)
        assert done.returncode == 1
        assert "is empty" in json.loads(done.stdout)[0]["error"]

    def test_nothing_found_is_an_error(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for argument in ("empty", "*.png"):
            done = command(model, argument, "--json", cwd=tmp_path)
            assert (done.returncode, done.stdout) == (2, b"")
            assert done.stderr.decode().startswith(f"tinysight: no image found ({argument}: no file")
            assert done.stderr.count(b"\n") == 1

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["gone", "a.png"], "no run at 'gone'"),
            (["gone.onnx", "a.png"], "no model at 'gone.onnx'"),
            (["a.png"], "IMAGE..."),
            ([], "RUN"),
            (["m.onnx", "a.png", "--top", "0"], "--top"),
            (["m.onnx", "a.png", "--tops", "1"], "--top"),
        ],
    )
    def test_mistakes_exit_2_without_a_traceback(self, tmp_path: Path, arguments: list[str], words: str) -> None:
        save(tmp_path / "a.png")
        done = command(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, b"")
        assert words in done.stderr.decode()
        assert b"Traceback" not in done.stderr

    def test_odd_file_names(self, model: Path, tmp_path: Path) -> None:
        names = ["Größe 鳥.png", "[1].png", "-x.png"] + ([] if sys.platform == "win32" else ["new\nline.png"])
        for name in names:
            save(tmp_path / name)
        done = command(model, "--json", "--", *names, cwd=tmp_path)
        assert done.returncode == 0
        assert [record["path"] for record in json.loads(done.stdout)] == names
        assert len(command(model, ".", cwd=tmp_path).stdout.splitlines()) == len(names)

    def test_loads_nothing_heavy(self, model: Path, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png")
        code = (
            "import sys\nfrom tinysight.cli.main import main\n"
            f"try: main(['predict', {str(model)!r}, {str(path)!r}, '--json'])\n"
            "except SystemExit as stop: assert stop.code == 0, stop.code\n"
            "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = set(done.stderr.split())
        assert {"onnxruntime", "PIL", "numpy"} <= loaded
        heavy = {
            "tensorflow",
            "keras",
            "jax",
            "pydantic",
            "matplotlib",
            "sklearn",
            "scipy",
            "pandas",
            "fastapi",
            "onnx",
        }
        assert not loaded & heavy


class TestRuns:
    def make_run(self, folder: Path) -> Run:
        run = Run(folder)
        folder.mkdir()
        run.recipe.write_text("", encoding="utf-8")
        run.finish({})
        return run

    def test_run_folder(self, tmp_path: Path) -> None:
        run = self.make_run(tmp_path / "run")
        write_model(run.onnx_model)
        (record,) = predict_files(run.folder, [save(tmp_path / "a.png")])
        assert as_pairs(record) == expected_classes(run.onnx_model, tmp_path / "a.png")

    def test_run_without_a_model(self, tmp_path: Path) -> None:
        run = self.make_run(tmp_path / "run")
        with pytest.raises(ModelError, match=r"has no model\.onnx"):
            predict_files(run.folder, [save(tmp_path / "a.png")])

    def test_unfinished_run(self, tmp_path: Path) -> None:
        run = self.make_run(tmp_path / "run")
        run.finished_marker.unlink()
        with pytest.raises(RunError, match="did not finish"):
            predict_files(run.folder, [save(tmp_path / "a.png")])


class TestFunctions:
    def test_order_is_kept_over_many_batches(self, model: Path, tmp_path: Path) -> None:
        num_images = BATCH_SIZE * 2 + 5
        for number in range(num_images):
            save(tmp_path / f"img{number}.png", number, size=(8, 8))
        (tmp_path / f"img{BATCH_SIZE}.png").write_bytes(b"broken")
        records = list(predict_files(model, [tmp_path]))
        assert [Path(record["path"]).name for record in records] == [f"img{n}.png" for n in range(num_images)]
        assert [n for n, record in enumerate(records) if "error" in record] == [BATCH_SIZE]
        for number in (0, 1, BATCH_SIZE - 1, BATCH_SIZE + 1, num_images - 1):
            wanted = expected_classes(model, tmp_path / f"img{number}.png")
            np.testing.assert_allclose(
                [score for _, score in as_pairs(records[number])], [score for _, score in wanted], atol=1e-6
            )

    def test_nothing_is_read_before_it_is_asked_for(self, model: Path, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png")
        records = predict_files(model, [path])
        path.unlink()
        assert "no such file" in next(records)["error"]

    def test_top(self, model: Path, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png")
        (record,) = predict_files(model, [path], top=99)
        assert sorted(name for name, _ in as_pairs(record)) == sorted(CLASS_NAMES)
        with pytest.raises(InvalidValueError, match="top is 0"):
            predict_files(model, [path], top=0)

    def test_standard_input_given(self, model: Path, tmp_path: Path) -> None:
        path = save(tmp_path / "a.png")
        (record,) = predict_files(model, ["-"], stdin=io.BytesIO(path.read_bytes()))
        assert as_pairs(record) == expected_classes(model, path)

    def test_equal_scores_keep_the_order_of_the_classes(self, tmp_path: Path) -> None:
        model = write_model(tmp_path / "m.onnx", make_info())
        Image.new("RGB", (8, 8), "black").save(tmp_path / "black.png")
        (record,) = predict_files(model, [tmp_path / "black.png"], top=4)
        assert as_pairs(record) == [(name, 0.25) for name in CLASS_NAMES]

    def test_arrays(self, model: Path) -> None:
        images = np.random.default_rng(3).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
        result = predict_images(model, images)
        np.testing.assert_array_equal(result, Predictor(model).predict(images))
        assert predict_images(model, images[0, ..., 0]).shape == (1, len(CLASS_NAMES))
        with pytest.raises(InvalidValueError, match="images are float64"):
            predict_images(model, images / 255)


class TestFindImages:
    def names(self, *arguments: object) -> list[str]:
        return [Path(item.path).as_posix() for item in find_images(arguments) if item.error is None]  # type: ignore[arg-type]

    @pytest.fixture(autouse=True)
    def tree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for name in ("img10.png", "img9.PNG", "b/x.jpg", "b/c/y.webp", ".hidden.png", ".git/z.png", "notes.txt"):
            path = tmp_path / "top" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        monkeypatch.chdir(tmp_path)
        return tmp_path / "top"

    def test_folder(self) -> None:
        assert self.names("top") == ["top/b/c/y.webp", "top/b/x.jpg", "top/img9.PNG", "top/img10.png"]

    def test_patterns_are_what_a_shell_gives(self) -> None:
        assert self.names("top/*.png") == ["top/img10.png"]
        assert self.names("top/*g*") == ["top/img9.PNG", "top/img10.png"]
        assert self.names("top/img?.PNG") == ["top/img9.PNG"]
        assert self.names("top/b*") == ["top/b/c/y.webp", "top/b/x.jpg"]
        assert self.names("top/*.txt") == ["top/notes.txt"]
        assert self.names("top/**/*.webp") == ["top/b/c/y.webp"]
        assert self.names("top/b/**") == ["top/b/c/y.webp", "top/b/x.jpg"]

    def test_named_files_are_taken_whatever_they_are(self) -> None:
        assert self.names("top/.hidden.png", "top/notes.txt", "gone.png", "-") == [
            "top/.hidden.png",
            "top/notes.txt",
            "gone.png",
            "-",
        ]

    def test_a_file_whose_name_looks_like_a_pattern(self, tree: Path) -> None:
        (tree / "[a].png").write_bytes(b"")
        assert self.names("top/[a].png") == ["top/[a].png"]

    def test_what_gives_nothing_is_said_beside_what_gives_something(self) -> None:
        found = find_images(["top/*.gif", "top/notes.txt"])
        assert [(item.path, item.error) for item in found] == [
            ("top/*.gif", "no file matches"),
            ("top/notes.txt", None),
        ]

    @pytest.mark.parametrize("arguments", [[], ["*.gif"], ["nothing*", "q?"], ["**/b"]])
    def test_nothing_at_all(self, arguments: list[str]) -> None:
        with pytest.raises(ImageError, match="no image found"):
            find_images(arguments)

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
    def test_links_to_folders_are_not_followed(self, tree: Path) -> None:
        os.symlink(tree, tree / "b" / "loop")
        assert len(self.names("top")) == 4

    def test_natural_order(self) -> None:
        names = ["10.png", "2.png", "a10b2", "a2b10", "A2b9", "a", "", "01", "1"]
        assert sorted(names, key=natural_order) == ["", "01", "1", "2.png", "10.png", "a", "A2b9", "a2b10", "a10b2"]
