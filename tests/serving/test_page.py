"""The page of the service in a real Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Visit, open_browser, visit
from digit_run import make_digit_run
from onnx_models import make_info, write_model
from PIL import Image
from running import Running, encode, pictures, running

from tinysight.pixels import decode_image
from tinysight.runs import Run
from tinysight.serving.predictor import Predictor

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_digit_run(tmp_path_factory.mktemp("digits") / "run")


@pytest.fixture(scope="module")
def service(run: Run) -> Iterator[Running]:
    with running(run.folder) as ready:
        yield ready


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as opened:
        yield opened


@pytest.fixture
def page(browser: Any, service: Running) -> Iterator[Visit]:
    with visit(browser, service.url, viewport={"width": 1280, "height": 900}) as visited:
        visited.wait_for_model()
        yield visited


def digit() -> bytes:
    """A seven, 20 x 20, in colours and with soft edges, so that the whole rule is at work."""
    image = Image.new("L", (20, 20))
    image.paste(255, (4, 3, 16, 6))
    image.paste(255, (12, 3, 15, 18))
    return encode(image.resize((90, 90)).convert("RGB"), "PNG")


def shown_classes(page: Visit) -> list[tuple[str, float]]:
    rows = page.page.locator("#classes button").all()
    texts = [(row.locator(".name").inner_text(), row.locator(".score").inner_text()) for row in rows]
    return [(name, float(score.removesuffix("\u00a0%")) / 100) for name, score in texts]


def expected_classes(run: Run, file: bytes) -> list[tuple[str, float]]:
    predictor = Predictor(run.onnx_model)
    (scores,) = predictor.predict(decode_image(file, predictor.info.image_shape)[np.newaxis])
    return [(str(index), float(scores[index])) for index in np.argsort(-scores)[:5]]


def expect_answer(page: Visit, run: Run, file: bytes) -> None:
    words = page.wait_for_answer()
    expected, shown = expected_classes(run, file), shown_classes(page)
    assert [name for name, _ in shown] == [name for name, _ in expected]
    np.testing.assert_allclose([score for _, score in shown], [score for _, score in expected], atol=0.00051)
    assert words.startswith(f"{expected[0][0]} (")


def canvas_pixels(page: Visit, selector: str) -> np.ndarray:
    values = page.page.evaluate(
        "(selector) => { const c = document.querySelector(selector);"
        " return [c.height, c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; }",
        selector,
    )
    return np.array(values[2:], np.uint8).reshape(values[0], values[1], 4)


DROP = """(data) => {
  const transfer = new DataTransfer();
  if (data) transfer.items.add(new File([Uint8Array.from(data)], 'seven.bin'));
  const target = document.querySelector('main');
  for (const name of ['dragover', 'drop']) {
    target.dispatchEvent(new DragEvent(name, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""
PASTE = """(data) => {
  const transfer = new DataTransfer();
  if (data) transfer.items.add(new File([Uint8Array.from(data)], 'seven.png', { type: 'image/png' }));
  else transfer.setData('text/plain', 'seven');
  const options = { clipboardData: transfer, bubbles: true, cancelable: true };
  document.body.dispatchEvent(new ClipboardEvent('paste', options));
}"""


class TestPictures:
    @pytest.mark.parametrize("way", ["choose", "drop", "paste"])
    def test_are_classified_as_by_python(self, page: Visit, run: Run, way: str) -> None:
        if way == "choose":
            page.choose("seven.png", digit())
        else:
            page.page.evaluate(DROP if way == "drop" else PASTE, list(digit()))
        expect_answer(page, run, digit())
        assert page.page.is_visible("#preview")

    def test_all_that_is_shown(self, page: Visit, run: Run) -> None:
        page.choose("seven.png", digit())
        page.wait_for_answer()
        seen = decode_image(digit(), (28, 28, 1))
        pixels = canvas_pixels(page, "#seen")
        np.testing.assert_array_equal(pixels[..., :3], np.repeat(seen, 3, axis=2))
        heat = canvas_pixels(page, "#heat")
        # Grey where nothing is hot; somewhere the overlay is yellow or red.
        assert (heat[..., 0].astype(int) - heat[..., 2]).max() > 80
        assert (heat[..., 0] == heat[..., 2]).mean() > 0.1
        page.page.wait_for_selector("#examples:not([hidden])")
        first = shown_classes(page)[0][0]
        assert page.text("#examples-title") == f"Examples of {first}"
        assert page.page.locator("#example-list img").count() == 8
        sizes = page.page.evaluate("[...document.querySelectorAll('#example-list img')].map((i) => i.naturalWidth)")
        assert sizes == [28] * 8
        assert "28×28 pixels in grey" in page.text("#model-line")
        assert "80.00 % of test pictures right" in page.text("#model-line")

    def test_another_picture_takes_the_place_of_the_first(self, page: Visit, run: Run) -> None:
        page.choose("grey.png", pictures()["grey.png"])
        page.wait_for_answer()
        # The second comes while the first is still being explained, or not yet.
        page.choose("turned.jpg", pictures()["turned.jpg"])
        page.choose("seven.png", digit())
        page.wait_until("document.querySelector('#preview').complete")
        page.page.wait_for_timeout(300)
        expect_answer(page, run, digit())

    def test_camera(self, page: Visit) -> None:
        page.page.click("#camera")
        page.page.wait_for_selector("#camera-panel:not([hidden])")
        # The button takes the focus once the picture moves, a moment after the panel shows.
        page.wait_until("document.activeElement.id === 'camera-shot'")
        page.page.click("#camera-shot")
        page.wait_for_answer()
        assert page.page.is_hidden("#camera-panel")
        assert page.page.evaluate("document.querySelector('#camera-view').srcObject") is None


class TestDrawing:
    def test_by_mouse(self, page: Visit) -> None:
        page.page.click("#draw")
        box = page.page.locator("#drawing").bounding_box()
        assert box is not None
        # Small and in a corner: it is brought to the size and place of the digits that the model knows.
        left, top = box["x"] + 30, box["y"] + 30
        page.page.mouse.move(left, top)
        page.page.mouse.down()
        page.page.mouse.move(left + 40, top, steps=5)
        page.page.mouse.move(left + 15, top + 80, steps=8)
        page.page.mouse.up()
        assert page.wait_for_answer().startswith("7 (")
        seen = canvas_pixels(page, "#seen")[..., 0].astype(float)
        rows, columns = np.nonzero(seen > 60)
        assert 19 <= rows.max() - rows.min() + 1 <= 22
        across, down = (seen.sum(axis=axis) @ np.arange(28) / seen.sum() for axis in (0, 1))
        assert abs(across - 13.5) < 0.5
        assert abs(down - 13.5) < 0.5
        assert columns.min() > 3
        page.page.click("#drawing-clear")
        assert canvas_pixels(page, "#drawing")[..., :3].max() == 0

    def test_by_keyboard(self, page: Visit) -> None:
        page.page.focus("#draw")
        page.page.keyboard.press("Enter")
        assert page.page.evaluate("document.activeElement.id") == "drawing"
        page.page.keyboard.press("Space")
        for _ in range(18):
            page.page.keyboard.press("ArrowDown")
        page.page.keyboard.press("Space")
        assert page.wait_for_answer().startswith("1 (")

    def test_only_where_classes_are_digits(self, browser: Any, tmp_path: Path) -> None:
        model = write_model(tmp_path / "model.onnx", make_info())
        with running(model) as service, visit(browser, service.url) as page:
            page.wait_for_model()
            assert page.page.is_hidden("#draw")
            assert page.page.is_visible("#choose")
            page.choose("colour.png", pictures()["colour.png"])
            page.wait_for_answer()
            # A model file alone has no data, so there is nothing to show.
            assert page.page.is_hidden("#examples")


class TestKeyboardAndScreenReader:
    def test_everything_is_reached_in_order(self, page: Visit, run: Run) -> None:
        with page.page.expect_file_chooser() as chooser:
            page.page.keyboard.press("Tab")
            assert page.page.evaluate("document.activeElement.id") == "choose"
            page.page.keyboard.press("Enter")
        chooser.value.set_files({"name": "seven.png", "mimeType": "image/png", "buffer": digit()})
        expect_answer(page, run, digit())
        order = []
        for _ in range(7):
            page.page.keyboard.press("Tab")
            order.append(page.page.evaluate("document.activeElement.id || document.activeElement.dataset.index"))
        assert order == ["camera", "draw", *[name for name, _ in expected_classes(run, digit())]]

    def test_a_pressed_class_is_explained(self, page: Visit, run: Run) -> None:
        page.choose("seven.png", digit())
        page.wait_for_answer()
        first, second = [name for name, _ in expected_classes(run, digit())][:2]
        pressed = page.page.locator("#classes button[aria-pressed=true]")
        assert pressed.locator(".name").inner_text() == first
        page.page.locator("#classes button").nth(1).focus()
        page.page.keyboard.press("Enter")
        page.wait_until(f"document.querySelector('#examples-title').textContent === 'Examples of {second}'")
        assert pressed.locator(".name").inner_text() == second
        assert f" {second}" in page.text("#heat-words")

    def test_what_a_screen_reader_is_told(self, page: Visit) -> None:
        page.choose("seven.png", digit())
        page.wait_for_answer()
        assert page.page.get_attribute("#live", "aria-live") == "polite"
        assert page.page.get_attribute("#problem", "role") == "alert"
        nameless = page.page.evaluate(
            "[...document.querySelectorAll('button, img, canvas, input, section, video')]"
            ".filter((e) => e.offsetParent !== null && !(e.ariaLabel || e.alt || e.textContent.trim()"
            " || e.getAttribute('aria-labelledby') || e.labels?.length)).map((e) => e.outerHTML)"
        )
        assert nameless == []
        headings = page.page.evaluate("[...document.querySelectorAll('h1, h2')].map((h) => h.tagName)")
        assert headings == ["H1", "H2", "H2", "H2", "H2"]
        assert page.page.get_attribute("#heat", "aria-label").startswith("What spoke for ")


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"hello" * 20, "is not an image; expected PNG, JPEG, WebP, GIF, BMP"),
            (digit()[:300], "is damaged or cut off"),
            (encode(Image.new("L", (4, 4)), "TIFF"), "is TIFF, which is not supported"),
        ],
    )
    def test_are_shown_in_words(self, browser: Any, service: Running, run: Run, data: bytes, words: str) -> None:
        # Chromium itself writes a line for every answer that is not 200.
        with visit(browser, service.url, may_say=("Failed to load resource", "422")) as page:
            page.choose("bad.png", data)
            problem = page.wait_for_problem()
            assert problem.startswith("The picture ")
            assert words in problem
            assert "image 1" not in problem
            assert page.page.locator("#classes button").count() == 0
            page.choose("seven.png", digit())
            expect_answer(page, run, digit())
            assert page.page.is_hidden("#problem")

    def test_nothing_of_use_was_pasted_or_dropped(self, page: Visit) -> None:
        page.page.evaluate(PASTE, None)
        assert page.wait_for_problem() == "What was pasted holds no picture."
        page.page.evaluate(DROP, None)
        page.wait_until("document.querySelector('#problem').textContent.startsWith('What was dropped')")

    def test_service_that_went_away(self, browser: Any, tmp_path: Path) -> None:
        model = write_model(tmp_path / "model.onnx", make_info())
        with running(model) as service, visit(browser, service.url, may_say=("Failed to load resource",)) as page:
            page.wait_for_model()
            service.process.terminate()
            service.process.wait(30)
            page.choose("colour.png", pictures()["colour.png"])
            assert page.wait_for_problem() == "The service cannot be reached. Is it still running?"

    def test_key(self, browser: Any, tmp_path: Path) -> None:
        model, keys = write_model(tmp_path / "model.onnx", make_info()), tmp_path / "keys"
        keys.write_text("open-sesame\n", encoding="utf-8")
        with (
            running(model, "--api-key-file", keys) as service,
            visit(browser, service.url, may_say=("Failed to load resource", "401")) as page,
        ):
            page.page.wait_for_selector("#key-form:not([hidden])")
            assert page.page.evaluate("document.activeElement.id") == "key"
            page.page.keyboard.type("guess")
            page.page.keyboard.press("Enter")
            page.wait_until("document.querySelector('#problem').textContent.includes('does not know')")
            page.page.fill("#key", "open-sesame")
            page.page.keyboard.press("Enter")
            page.page.wait_for_selector("#key-form", state="hidden")
            assert page.page.is_hidden("#problem")
            page.choose("colour.png", pictures()["colour.png"])
            page.wait_for_answer()


class TestLook:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [320, 390, 1280])
    def test_nothing_scrolls_sideways(self, browser: Any, service: Running, width: int, scheme: str) -> None:
        with visit(
            browser, service.url, viewport={"width": width, "height": 800}, color_scheme=scheme, has_touch=width < 500
        ) as page:
            page.wait_for_model()
            assert not page.scrolls_sideways()
            page.choose("seven.png", digit())
            page.wait_for_answer()
            page.page.wait_for_selector("#examples:not([hidden])")
            assert not page.scrolls_sideways()
            page.page.click("#draw")
            assert not page.scrolls_sideways()
            small = page.page.evaluate(
                "[...document.querySelectorAll('button')].filter((b) => b.offsetParent && b.offsetHeight < 44).length"
            )
            assert small == 0

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_words_stand_out_from_their_ground(self, browser: Any, service: Running, scheme: str) -> None:
        with visit(browser, service.url, color_scheme=scheme) as page:
            page.wait_for_model()
            page.choose("seven.png", digit())
            page.wait_for_answer()
            shot = np.asarray(Image.open(io.BytesIO(page.page.screenshot())).convert("L"))
            assert (shot.mean() > 128) == (scheme == "light")
            colours = page.page.evaluate(COLOURS)
            for ground, inks in GROUNDS.items():
                for ink in inks:
                    assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)

    def test_nothing_comes_from_elsewhere(self, page: Visit, service: Running) -> None:
        page.choose("seven.png", digit())
        page.wait_for_answer()
        # Pictures and previews have addresses of the page's own making.
        assert page.hosts <= {service.url.removeprefix("http://"), "here"}


COLOURS = """() => {
  const names = ['ground', 'card', 'ink', 'soft', 'accent', 'on-accent', 'bar', 'bar-first', 'problem',
    'problem-ground'];
  const probe = document.body.appendChild(document.createElement('p'));
  return Object.fromEntries(names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color.match(/\\d+/g).map(Number)];
  }));
}"""
GROUNDS = {
    "ground": ["ink", "soft"],
    "card": ["ink", "soft", "problem"],
    "bar": ["ink"],
    "bar-first": ["ink"],
    "accent": ["on-accent"],
    "problem-ground": ["problem"],
}


def contrast(one: list[int], other: list[int]) -> float:
    """Source: WCAG 2.2, contrast ratio and relative luminance."""

    def luminance(colour: list[int]) -> float:
        values = np.array(colour[:3]) / 255
        return float(
            np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
        )

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)
