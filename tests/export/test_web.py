"""The exported folder, and what it answers in a real Chromium beside Python."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from chromium import Visit, open_browser, visit
from digit_run import make_digit_run, write_linear_model
from odd_pictures import KINDS, Picture, encode, odd_pictures, raw_png
from PIL import Image
from web_site import ask, static_host

from tinysight.errors import ImageError, ModelError, RunError
from tinysight.export import web
from tinysight.export.web import RUNTIME_FILES, SIZE_BUDGET, write_web
from tinysight.pixels import decode_image
from tinysight.runs import Run
from tinysight.serving.heatmap import occlusion_map
from tinysight.serving.model_info import ModelInfo
from tinysight.serving.predictor import Predictor

TOLERANCE = 1e-4
# What Playwright itself says.
BLOCKED = ("Service Worker registration blocked",)

# What `npm pack onnxruntime-web@1.23.2` has in package/dist/, the second unpacked.
PUBLISHED = {
    "ort.wasm.bundle.min.mjs": "cace3b98bee45c1c40ed04e07b984fb66012acacb702e6aecd9008239bf35e99",
    "ort-wasm-simd-threaded.wasm.packed": "45eaee27761ad883742a8d4b8fce1538d60ce43b51adf1726fafccc59b8c1a15",
}


def make_colour_run(folder: Path) -> Run:
    """Colour, and higher than wide, so that no two sides can be mistaken for each other."""
    run, shape, names = Run(folder), (36, 30, 3), ("cat", "dog", "fish", "zebra crossing")
    folder.mkdir(parents=True)
    generator = np.random.default_rng(5)
    weights = generator.normal(0, 0.0015, (int(np.prod(shape)), len(names))).astype(np.float32)
    info = ModelInfo(class_names=names, image_shape=shape, recipe="toy", created="2026-01-02", version="0.1.0")
    write_linear_model(run.onnx_model, info, weights, np.zeros(len(names), np.float32))
    return run


@pytest.fixture(scope="module")
def colour_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_colour_run(tmp_path_factory.mktemp("colour") / "run")


@pytest.fixture(scope="module")
def folder(colour_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Below another folder of the same host, as on hosts that give a folder to every project.
    return write_web(colour_run, tmp_path_factory.mktemp("site") / "some" / "where").parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[str]:
    with static_host(folder.parents[1]) as (_, url):
        yield url


@pytest.fixture(scope="module")
def page(browser: Any, host: str) -> Iterator[Visit]:
    with visit(browser, f"{host}/some/where/") as visited:
        visited.wait_for_model()
        yield visited


class TestFolder:
    def test_holds_all_that_the_page_names(self, folder: Path) -> None:
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        for name in names:
            if name.endswith((".html", ".js")) and not name.startswith("runtime/"):
                text = (folder / name).read_text(encoding="utf-8")
                for wanted in re.findall(r'(?:from |import |href=|src=|new URL\(|file\()"(?:\./)?([\w./-]+)"', text):
                    assert wanted in names, f"{name} wants {wanted}"
        kept = json.loads(re.search(r"FILES = (\[.*?\])", (folder / "offline.js").read_text(), re.S)[1])  # type: ignore[index]
        notices = {"runtime/LICENSE.txt", "runtime/ThirdPartyNotices.txt"}
        assert set(kept) == (names - {"offline.js"} - notices) | {"./"}

    def test_names_nobody_else(self, folder: Path) -> None:
        for path in folder.glob("*.*"):
            if path.suffix in (".html", ".js", ".css", ".svg"):
                text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
                assert "://" not in text, path.name

    def test_keeps_within_its_budget(self, folder: Path) -> None:
        sizes = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        assert 3_000_000 < sum(sizes.values()) - sizes["model.onnx"] <= SIZE_BUDGET

    def test_runtime_is_what_was_published(self, folder: Path) -> None:
        for name, expected in PUBLISHED.items():
            data = (folder / "runtime" / RUNTIME_FILES[name]).read_bytes()
            data = gzip.decompress(data) if name.endswith(".packed") else data
            assert hashlib.sha256(data).hexdigest() == expected
        assert web.RUNTIME_VERSION in (folder / "runtime" / "ort.wasm.bundle.min.js").read_text(encoding="utf-8")[:100]
        assert "Microsoft" in (folder / "runtime" / "LICENSE.txt").read_text(encoding="utf-8")

    def test_same_model_same_bytes_another_model_another_version(self, colour_run: Run, tmp_path: Path) -> None:
        one, two = (write_web(colour_run, tmp_path / name).parent for name in ("one", "two"))
        other = write_web(make_digit_run(tmp_path / "run"), tmp_path / "other").parent
        for path in one.rglob("*"):
            if path.is_file():
                assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
        assert (one / "offline.js").read_bytes() != (other / "offline.js").read_bytes()

    def test_what_is_in_the_way_is_kept(self, colour_run: Run, tmp_path: Path) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "index.html").write_text("mine", encoding="utf-8")
        with pytest.raises(RunError, match="exists already"):
            write_web(colour_run, tmp_path / "site")
        with pytest.raises(RunError, match="exists already"):
            write_web(colour_run, tmp_path / "site" / "index.html")
        assert (tmp_path / "site" / "index.html").read_text(encoding="utf-8") == "mine"

    def test_run_without_a_usable_model(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"has no model\.onnx"):
            write_web(Run(tmp_path / "none"), tmp_path / "site")
        (tmp_path / "model.onnx").write_bytes(b"no model")
        with pytest.raises(ModelError, match="cannot be read as ONNX"):
            write_web(Run(tmp_path), tmp_path / "site")
        assert not (tmp_path / "site").exists()


@pytest.mark.browser
class TestSameAnswers:
    def test_grey_model(self, browser: Any, tmp_path: Path) -> None:
        run = make_digit_run(tmp_path / "run")
        site = write_web(run, tmp_path / "site").parent
        pictures = list(odd_pictures(len(KINDS), seed=12))
        predictor = Predictor(run.onnx_model)
        images = [decode_image(each.data, predictor.info.image_shape) for each in pictures]
        with static_host(site) as (_, url), visit(browser, url) as page:
            for each, image, answer in zip(pictures, images, ask(page, [p.data for p in pictures]), strict=True):
                np.testing.assert_array_equal(answer["pixels"], image.ravel(), err_msg=each.name)
                (expected,) = predictor.predict(image[np.newaxis])
                assert np.abs(np.array(answer["scores"]) - expected).max() <= TOLERANCE, each.name

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_every_orientation(self, page: Visit, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (14, 31, 3), dtype=np.uint8))
        files = [encode(image, kind, exif=exif.tobytes(), quality=95) for kind in ("PNG", "JPEG", "WebP")]
        for file, answer in zip(files, ask(page, files), strict=True):
            expected = decode_image(file, (36, 30, 3))
            np.testing.assert_array_equal(answer["pixels"], expected.ravel())

    def test_heat_map(self, page: Visit, colour_run: Run) -> None:
        predictor = Predictor(colour_run.onnx_model)
        for each in odd_pictures(4, seed=3):
            image = decode_image(each.data, predictor.info.image_shape)
            for index in (0, 3):
                (heat,) = ask(page, [each.data], "heat", index)
                expected = occlusion_map(predictor, image, index)
                np.testing.assert_allclose(np.array(heat).reshape(36, 30), expected, atol=2e-3)


def with_header(width: int, height: int, depth: int = 8) -> bytes:
    """A PNG with the pixels of 2 x 2, whatever its header says."""
    data = bytearray(raw_png(np.zeros((2, 2, 1), int), 8, 0))
    data[16:25] = struct.pack(">IIB", width, height, depth)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


BAD = {
    "empty": b"",
    "text": b"hello, world" * 10,
    "zeros": bytes(1000),
    "tiff": encode(Image.new("RGB", (16, 16)), "TIFF"),
    "icon": encode(Image.new("RGB", (16, 16)), "ICO"),
    "40000 x 40000": with_header(40_000, 40_000),
    "less data than it says": with_header(50, 50),
    "a row less than it says": with_header(2, 3),
    "thin": with_header(1, 24_000_000),
    "no width": with_header(0, 2),
    "unknown depth": with_header(2, 2, 5),
    "wrong checksum": with_header(2, 2)[:30] + b"x" + with_header(2, 2)[31:],
}


@pytest.mark.browser
class TestBadFiles:
    def test_are_refused_as_by_python(self, page: Visit) -> None:
        files = dict(BAD)
        noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))
        for kind in ("PNG", "JPEG", "WebP", "GIF", "BMP"):
            data = encode(noise, kind)
            for end in (1, 4, 12, 20, 29, 40, len(data) // 2, len(data) * 9 // 10):
                files[f"{kind} cut off at {end}"] = data[:end]
        for name, answer in zip(files, ask(page, list(files.values())), strict=True):
            with pytest.raises(ImageError):
                decode_image(files[name], (36, 30, 3))
            assert answer.get("kind") == "Refusal", f"{name}: {answer}"

    def test_reasons(self, page: Visit) -> None:
        reasons = [answer["refused"] for answer in ask(page, list(BAD.values()))]
        assert reasons[0] == "The picture is empty."
        assert reasons[1] == "This is not an image; expected PNG, JPEG, WebP, GIF, BMP."
        assert reasons[3] == "The picture is TIFF, which is not supported; expected PNG, JPEG, WebP, GIF, BMP."
        assert reasons[5] == "The picture has 40,000 x 40,000 pixels; at most 25,000,000 in all are decoded."
        assert reasons[6] == reasons[7] == "The picture is damaged or cut off."
        assert reasons[8].startswith(
            "The picture has 1 x 24,000,000 pixels; at most 25,000,000 in all are decoded, a side"
        )


@pytest.mark.browser
class TestPage:
    def test_answers_asks_nobody_else_and_works_without_its_host(
        self, browser: Any, folder: Path, colour_run: Run
    ) -> None:
        (each,) = (each for each in odd_pictures(len(KINDS)) if each.name == "png-alpha-3")
        with static_host(folder.parents[1]) as (process, url), visit(browser, f"{url}/some/where/") as page:
            first = expect_answer(page, each, colour_run)
            assert "nothing is sent anywhere" in page.text("#where")
            page.wait_until("document.querySelector('#where').textContent.includes('works without a network')")
            assert page.page.evaluate("crossOriginIsolated") is False
            process.kill()
            process.wait(30)
            page.page.reload()
            assert expect_answer(page, each, colour_run) == first
            assert page.hosts == {url.removeprefix("http://"), "here"}

    def test_new_export_takes_the_place_of_the_kept_one(self, browser: Any, colour_run: Run, tmp_path: Path) -> None:
        site = write_web(colour_run, tmp_path / "site").parent
        kept = "document.querySelector('#where').textContent.includes('works without a network')"
        with static_host(tmp_path) as (_, url), visit(browser, f"{url}/site/") as page:
            page.wait_until(kept)
            site.rename(tmp_path / "old")
            write_web(make_digit_run(tmp_path / "run"), site)
            page.page.reload()
            page.wait_until("navigator.serviceWorker.getRegistration().then((r) => Boolean(r.waiting || r.installing))")
            page.wait_until("navigator.serviceWorker.getRegistration().then((r) => Boolean(r.waiting))")
            # The old one serves the pages that are open; those that come after it the new one.
            page.page.goto("about:blank")
            page.page.wait_for_timeout(300)
            page.page.goto(f"{url}/site/")
            page.wait_until("document.querySelector('#model-line').textContent.startsWith('least-squares')")
            page.wait_until("caches.keys().then((names) => names.length === 1)")

    def test_host_that_unpacks_on_the_way(self, browser: Any, folder: Path, colour_run: Run) -> None:
        """Some hosts say of packed files that packing is how they are sent; the browser then unpacks them."""

        class Handler(SimpleHTTPRequestHandler):
            def end_headers(self) -> None:
                if self.path.endswith(".packed"):
                    self.send_header("Content-Encoding", "gzip")
                super().end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            with visit(
                browser, f"http://127.0.0.1:{server.server_port}/", service_workers="block", may_say=BLOCKED
            ) as page:
                expect_answer(page, next(odd_pictures(1)), colour_run)
            server.shutdown()

    def test_refusal_and_missing_file(self, browser: Any, folder: Path, tmp_path: Path) -> None:
        import shutil

        site = tmp_path / "site"
        shutil.copytree(folder, site)
        with static_host(site) as (_, url):
            with visit(browser, url) as page:
                page.wait_for_model()
                page.choose("bad.png", b"hello" * 20)
                assert page.wait_for_problem() == "This is not an image; expected PNG, JPEG, WebP, GIF, BMP."
            (site / "model.onnx").unlink()
            with visit(
                browser, url, may_say=("Failed to load resource", "404", *BLOCKED), service_workers="block"
            ) as page:
                assert page.wait_for_problem() == "The file model.onnx cannot be had: status 404."

    def test_on_a_phone(self, browser: Any, host: str, colour_run: Run) -> None:
        with visit(browser, f"{host}/some/where/", viewport={"width": 390, "height": 800}, has_touch=True) as page:
            expect_answer(page, next(odd_pictures(1)), colour_run)
            assert not page.scrolls_sideways()
            assert page.page.is_hidden("#examples")


def expect_answer(page: Visit, each: Picture, run: Run) -> str:
    predictor = Predictor(run.onnx_model)
    (scores,) = predictor.predict(decode_image(each.data, predictor.info.image_shape)[np.newaxis])
    page.wait_for_model()
    page.choose("picture.bin", each.data)
    words = page.wait_for_answer()
    best = int(scores.argmax())
    assert words.startswith(f"{predictor.info.class_names[best]} ({100 * scores[best]:.1f} %)")
    return words
