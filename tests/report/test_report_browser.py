"""The pages in a real Chromium: nothing scrolls sideways, the console is silent, cells open, galleries filter."""

import hashlib

import pytest
from analysis_records import write_analysis
from chromium import open_browser, visit
from report_runs import make_data, make_run

from tinysight.report.render import write_report
from tinysight.verbs.compare import compare

pytestmark = pytest.mark.browser

NAMES = (
    "airplane",
    "a class with a name that goes on and on",
    "Füchsin",
    "dog",
    "deer",
    "frog",
    "horse",
    "ship",
    "truck",
)
OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 1 || box.left < -1) && !element.closest('.scroll, .hidden, .skip');
}).map(element => element.tagName + '.' + element.className)"""
OVERLAPPING_TICKS = """() => [...document.querySelectorAll('.plot')].flatMap(plot => {
  const boxes = [...plot.querySelectorAll('text')].map(text => text.getBoundingClientRect());
  return boxes.flatMap((one, index) => boxes.slice(index + 1).filter(two =>
    one.left < two.right - 1 && two.left < one.right - 1 && one.top < two.bottom - 1 && two.top < one.bottom - 1
  ).map(() => plot.querySelector('title').textContent));
})"""
CUT_OFF = """() => [...document.querySelectorAll('.plot text')].filter(text => {
  const box = text.getBoundingClientRect(), plot = text.closest('svg').getBoundingClientRect();
  return box.left < plot.left - 1 || box.right > plot.right + 1 || box.bottom > plot.bottom + 1;
}).map(text => text.textContent)"""


@pytest.fixture(scope="module")
def browser():
    with open_browser(
        "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
    ) as opened:  # fmt: skip
        yield opened


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    data = make_data(folder / "data.npz", NAMES, num_test=400)
    made = make_run(folder / "run", data, epochs=30, skill=1.0, validation="test")
    made.run.onnx_model.write_bytes(b"a model")
    write_analysis(made.run, NAMES, model_sha256=hashlib.sha256(b"a model").hexdigest())
    write_report(made.run, quick=True, data=data)
    return made.run


@pytest.fixture(scope="module")
def comparison(run):
    data = make_data(run.folder.parent / "data.npz", NAMES, num_test=400)
    other = make_run(run.folder.parent / "other-run", data, skill=2.0, learning_rate=0.01).run
    return compare([run.folder, other.folder], output=run.folder.parent / "comparison.html").page


def open_page(browser, path, **options):
    return visit(browser, path.as_uri(), **({"viewport": {"width": 1280, "height": 800}} | options))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_off_or_scrolls_sideways(browser, run, comparison, width, scheme):
    for path in (run.report, comparison):
        with open_page(browser, path, viewport={"width": width, "height": 844}, color_scheme=scheme) as visited:
            page = visited.page
            page.evaluate("() => { for (const details of document.querySelectorAll('details')) details.open = true; }")
            assert page.evaluate("() => document.scrollingElement.scrollWidth <= innerWidth")
            assert page.evaluate(OVERFLOWING) == []
            assert page.evaluate(OVERLAPPING_TICKS) == []
            assert page.evaluate(CUT_OFF) == []
            background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 24, 27)")
            assert visited.hosts <= {"here"}


@pytest.mark.parametrize("width", [1280, 390])
def test_a_cell_opens_its_images(browser, run, width):
    with open_page(browser, run.report, viewport={"width": width, "height": 844}) as visited:
        page = visited.page
        button = page.locator("#confusion [data-cell]").nth(1)
        count = int(button.locator(".count").inner_text())
        button.click()
        assert page.evaluate("() => document.getElementById('cell').open")
        assert f"{count} image" in page.inner_text("#cell-heading")
        pictures = page.locator("#cell-pictures img")
        assert pictures.count() == min(count, 8)
        sizes = pictures.evaluate_all("images => images.map(image => image.naturalWidth)")
        assert set(sizes) == {12}
        assert page.evaluate("() => document.getElementById('cell').getBoundingClientRect().right <= innerWidth")
        page.keyboard.press("Escape")
        assert not page.evaluate("() => document.getElementById('cell').open")
        assert button.evaluate("element => element === document.activeElement")


def test_a_cell_opens_from_the_keyboard(browser, run):
    with open_page(browser, run.report) as visited:
        page = visited.page
        button = page.locator("#confusion [data-cell]").first
        button.focus()
        outline = button.evaluate("element => getComputedStyle(element).outlineStyle")
        assert outline != "none"
        page.keyboard.press("Enter")
        assert page.evaluate("() => document.getElementById('cell').open")
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")
        focused = page.evaluate("() => document.activeElement.getAttribute('data-cell')")
        assert focused == page.locator("#confusion [data-cell]").nth(1).get_attribute("data-cell")


def test_the_first_tab_skips_to_the_content(browser, run):
    with open_page(browser, run.report) as visited:
        visited.page.keyboard.press("Tab")
        assert visited.page.evaluate("() => document.activeElement.textContent") == "Skip to the content"
        assert visited.page.evaluate("() => document.activeElement.getBoundingClientRect().left >= 0")


def test_a_gallery_filters_by_class(browser, run):
    with open_page(browser, run.report) as visited:
        page = visited.page
        shown = "#gallery-mistakes .picture:not([hidden])"
        assert page.locator(shown).count() == 24
        page.select_option("#filter-mistakes", label="frog")
        classes = page.locator(shown).evaluate_all(
            "all => all.map(item => [item.dataset.true, item.dataset.predicted])"
        )
        frog = page.evaluate("() => document.getElementById('filter-mistakes').value")
        assert classes
        assert all(frog in pair for pair in classes)
        assert page.inner_text("#gallery-mistakes [data-count]") == f"{len(classes)} images"
        assert not page.locator(shown).first.evaluate("item => item.offsetWidth === 0")
        page.select_option("#filter-mistakes", label="all")
        assert page.locator(shown).count() == 24


def test_counts_and_shares_take_turns(browser, run):
    with open_page(browser, run.report) as visited:
        page = visited.page
        count, share = page.locator("#confusion .count").first, page.locator("#confusion .share").first
        assert (count.is_visible(), share.is_visible()) == (True, False)
        page.check("[name=cells][value=share]")
        assert (count.is_visible(), share.is_visible()) == (False, True)


def test_without_scripts_everything_is_there_to_read(browser, run):
    with open_page(browser, run.report, java_script_enabled=False) as visited:
        page = visited.page
        assert page.locator("#gallery-mistakes img").count() > 24
        assert page.locator(".plot").count() == 8
        assert "of the test images right" in page.inner_text("#quality")


def test_print_leaves_out_what_cannot_be_used_on_paper(browser, run):
    with open_page(browser, run.report, color_scheme="dark") as visited:
        page = visited.page
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert page.evaluate("() => getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        page.evaluate("() => dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0
