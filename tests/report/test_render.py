"""The page of a run: one file that needs nothing else, with everything in its order."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from analysis_records import write_analysis
from report_runs import make_data, make_run
from whole_commands import run_command

from tinysight.files import read_json, write_json
from tinysight.report.render import SECTIONS, script_json, write_report

NASTY = ("</script><b>cat</b>", 'do"g & co', "Füchsin 🦊")


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the content of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.inside, self._raw = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._raw = (tag, dict(attributes), [])

    def handle_endtag(self, tag):
        if self._raw and tag == self._raw[0]:
            self.inside.append((*self._raw[:2], "".join(self._raw[2])))
            self._raw = None

    def handle_data(self, data):
        if self._raw:
            self._raw[2].append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self):
        return json.loads(next(text for tag, attributes, text in self.inside if attributes.get("id") == "data"))


def words_of(text):
    """The words of a page, without styles, scripts and markup."""
    text = re.sub(r"<(script|style).*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", text).replace("\xa0", " ").split())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data") / "digits.npz", ("ant", "bee", "cow"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """A page with every part of the analysis."""
    made = make_run(tmp_path_factory.mktemp("runs") / "whole", data)
    made.run.onnx_model.write_bytes(b"a model")
    sha256 = hashlib.sha256(b"a model").hexdigest()
    write_analysis(made.run, data.class_names, model_sha256=sha256)
    report = write_report(made.run, quick=True, data=data)
    return made, report, made.run.report.read_text(encoding="utf-8")


def test_sections_come_in_the_order_in_which_a_reader_asks(whole):
    page = Page(whole[2])
    found = [attributes["id"] for attributes in page.all("section") if attributes.get("id") in dict(SECTIONS)]
    assert found == ["quality", "sureness", "failures", "trust", "looks", "making", "using"]
    links = [attributes["href"] for attributes in page.all("a") if attributes["href"].startswith("#")]
    assert links == ["#main", *(f"#{key}" for key in found)]


def test_the_page_needs_nothing_else(whole):
    page = Page(whole[2])
    assert {tag for tag, _ in page.elements} & {"iframe", "object", "embed", "base", "audio", "video"} == set()
    assert all(attributes["src"].startswith("data:image/") for attributes in page.all("img"))
    assert not any("src" in attributes for attributes in page.all("script"))
    assert [attributes["href"] for attributes in page.all("link")] == ["data:,"]
    assert "url(" not in whole[2].replace("base64", "")
    assert len(whole[2]) < 5_000_000


def test_the_policy_names_the_style_and_the_script(whole):
    page = Page(whole[2])
    policy = next(item["content"] for item in page.all("meta") if item.get("http-equiv") == "Content-Security-Policy")
    for tag, attributes, text in page.inside:
        if attributes.get("type") != "application/json":
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any("style" in attributes or "onclick" in attributes for _, attributes in page.elements)


def test_elements_are_named_once(whole):
    page = Page(whole[2])
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in page.elements:
        for name in attributes.get("aria-labelledby", "").split():
            assert name in names


def test_every_figure_has_words_and_numbers(whole):
    page = Page(whole[2])
    assert all(attributes.get("alt") for attributes in page.all("img"))
    plots = [attributes for attributes in page.all("svg") if attributes.get("class") == "plot"]
    assert len(plots) == 3 + 2 + 1 + 2
    assert all(attributes["role"] == "img" and attributes["aria-labelledby"] for attributes in plots)
    assert {"curve-accuracy", "curve-loss", "curve-learning-rate", "reliability", "selective"} == set(
        page.data["charts"]
    )
    assert page.data["analysis"]["robustness"]["corruptions"][1]["name"] == "occlusion"


def test_the_numbers_are_those_of_the_run(whole):
    made, _, text = whole
    metrics = read_json(made.run.metrics)
    page = Page(text)
    assert page.data["metrics"] == metrics
    value = metrics["test"]["figures"]["accuracy"]["value"]
    assert f"{100 * value:.1f} % of the test images right" in words_of(text)
    counts = [int(number) for number in re.findall(r'<span class="count">(\d+)</span>', text)]
    assert counts == [count for row in metrics["test"]["confusion"] for count in row]


def test_cells_open_what_they_count(whole):
    page = Page(whole[2])
    buttons = {item["data-cell"] for item in page.all("button") if "data-cell" in item}
    cells = page.data["cells"]
    assert buttons == set(cells)
    confusion = page.data["metrics"]["test"]["confusion"]
    for key, pictures in cells.items():
        true, said = map(int, key.split(","))
        assert 1 <= len(pictures) <= confusion[true][said]
        assert all(picture["uri"].startswith("data:image/png;base64,") for picture in pictures)


def test_every_part_of_the_analysis_is_shown(whole):
    words = words_of(whole[2])
    assert "not computed yet" not in words
    for part in (
        "1 exact double and 1 near double",
        "test images: 1 suspect among 60",
        "minds occlusion",
        "Gaussian noise least",
        "for 40.0 % of uniform noise",
        "HiResCAM",
        "8 windows of 3 x 3 pixels",
        "the mean of nine",
    ):
        assert part in words, part
    assert whole[1].notices == ()


def test_what_was_not_measured_says_how_to(tmp_path, data):
    made = make_run(tmp_path / "quick", data)
    report = write_report(made.run, quick=True, data=data)
    words = words_of(made.run.report.read_text(encoding="utf-8"))
    assert words.count(f"not computed yet: run tinysight report {made.run.folder}") == 5
    assert report.analysis.robustness is None


def test_parts_of_another_model_are_called_so(tmp_path, data):
    made = make_run(tmp_path / "stale", data)
    made.run.onnx_model.write_bytes(b"another model")
    write_analysis(made.run, data.class_names)
    report = write_report(made.run, quick=True, data=data)
    assert "changed since these parts were measured" in report.notices[0]
    assert set(report.analysis.stale) == {"robustness", "outliers", "labels", "duplicates", "explain"}


def test_a_run_that_died_says_so_and_shows_what_there_is(tmp_path, data):
    made = make_run(tmp_path / "dead", data, finished=False)
    report = write_report(made.run, quick=False, data=data)
    page = made.run.report.read_text(encoding="utf-8")
    assert "This run did not finish: 2 epochs of 4 were completed" in words_of(page)
    assert f"<code>tinysight train --resume {made.run.folder}</code>" in page
    assert (report.quality, report.failures, report.trust) == (None, None, None)
    assert {"curve-accuracy", "curve-loss"} < set(Page(page).data["charts"])
    assert words_of(page).count("Not measured") == 4
    assert "did not finish" in made.run.model_card.read_text(encoding="utf-8")


def test_a_run_that_died_of_nan_has_its_page(tmp_path, data):
    made = make_run(tmp_path / "dead", data, finished=False)
    header, *rows = made.run.history.read_text(encoding="utf-8").splitlines()
    last = dict(zip(header.split(","), rows[-1].split(","), strict=True)) | {"loss": "nan", "val_loss": "nan"}
    made.run.history.write_text("\n".join([header, *rows[:-1], ",".join(last.values()), ""]), encoding="utf-8")
    write_report(made.run, data=data)
    history = Page(made.run.report.read_text(encoding="utf-8")).data["history"]
    assert (history[-1]["loss"], history[-1]["val_loss"]) == (None, None)
    assert history[0]["loss"] > 0


def test_a_run_that_died_before_its_first_epoch(tmp_path, data):
    made = make_run(tmp_path / "dead", data, finished=False)
    made.run.history.unlink()
    write_report(made.run, data=data)
    assert "no whole epoch" in words_of(made.run.report.read_text(encoding="utf-8"))


def test_an_interrupted_run_says_which_epoch_it_is(tmp_path, data):
    made = make_run(tmp_path / "stopped", data, epochs=3)
    write_json(made.run.environment, read_json(made.run.environment) | {"interrupted": True, "epochs_completed": 2})
    report = write_report(made.run, quick=True, data=data)
    assert "interrupted: the model is that of epoch 2 of 3" in report.notices[0]


def test_a_training_writes_its_page_before_its_marker(tmp_path, data):
    made = make_run(tmp_path / "ending", data)
    summary = read_json(made.run.finished_marker)
    made.run.finished_marker.unlink()
    report = write_report(made.run, quick=True, data=data, summary=summary)
    assert report.notices == ()
    assert dict(report.making.facts)["parameters"] == "1,234"
    assert not made.run.is_finished


def test_validation_on_the_test_split_is_said_plainly(tmp_path, data):
    made = make_run(tmp_path / "tutorial", data, validation="test")
    write_report(made.run, quick=True, data=data)
    page = made.run.report.read_text(encoding="utf-8")
    assert '<p class="notice">The net was validated on the test split' in page
    assert "test split" in Page(page).data["charts"]["curve-loss"]["series"][1]["name"]
    assert "tinysight calibrate" not in page


def test_without_the_images_the_rest_is_shown(tmp_path):
    path = tmp_path / "gone.npz"
    made = make_run(tmp_path / "run", make_data(path, ("ant", "bee")))
    path.unlink()
    report = write_report(made.run, quick=True)
    assert "no pictures of them" in report.notices[0]
    page = Page(made.run.report.read_text(encoding="utf-8"))
    assert page.all("img") == []
    assert page.data["cells"] == {}
    assert page.data["metrics"] == read_json(made.run.metrics)


def test_other_images_than_were_scored_are_not_shown(tmp_path):
    path = tmp_path / "changing.npz"
    made = make_run(tmp_path / "run", make_data(path, ("ant", "bee")))
    make_data(path, ("ant", "bee"), num_test=40)
    report = write_report(made.run, quick=True)
    assert "no pictures of them" in report.notices[0]


def test_nasty_class_names_are_words(tmp_path):
    data = make_data(tmp_path / "nasty.npz", NASTY, shape=(10, 10))
    made = make_run(tmp_path / "run", data)
    write_report(made.run, quick=True, data=data)
    text = made.run.report.read_text(encoding="utf-8")
    page = Page(text)
    assert "b" not in {tag for tag, _ in page.elements}
    assert set(page.data["metrics"]["test"]["class_names"]) == set(NASTY)
    assert "&lt;b&gt;cat" in text
    card = made.run.model_card.read_text(encoding="utf-8")
    assert "<b>" not in card
    assert "&lt;b>cat" in card


@pytest.mark.parametrize("num_classes", [2, 100])
def test_few_and_many_classes(tmp_path, num_classes):
    data = make_data(tmp_path / "data.npz", tuple(f"class {index}" for index in range(num_classes)), num_test=300)
    made = make_run(tmp_path / "run", data, epochs=1, validation="none")
    report = write_report(made.run, quick=True, data=data)
    assert report.failures.num_hidden == max(0, num_classes - 30)
    assert made.run.report.stat().st_size < 5_000_000
    assert len(Page(made.run.report.read_text(encoding="utf-8")).data["metrics"]["test"]["confusion"]) == num_classes


def test_scripts_cannot_be_ended_by_data():
    text = script_json({"a": "</script><!--", "b": [1, None, "é\u2028"]})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": [1, None, "é\u2028"]}


def test_the_same_run_gives_the_same_page(tmp_path, data):
    made = make_run(tmp_path / "run", data)
    write_report(made.run, quick=True, data=data)
    before = made.run.report.read_bytes(), made.run.model_card.read_bytes()
    write_report(made.run, quick=True)
    assert (made.run.report.read_bytes(), made.run.model_card.read_bytes()) == before


def test_the_model_card_says_what_was_and_was_not_measured(whole, tmp_path, data):
    made, report, _ = whole
    card = made.run.model_card.read_text(encoding="utf-8").replace("\xa0", " ")
    for heading in ("## The model", "## What it is for", "## Data", "## What was measured", "## What was not measured"):
        assert heading in card
    assert f"| Accuracy | {report.quality.accuracy.text}".replace("\xa0", " ") in card
    measured, _, missing = card.partition("## What was not measured")
    assert "likely wrong labels" in measured
    assert "likely wrong labels" not in missing
    assert "fairness" in missing
    quick = make_run(tmp_path / "quick", data)
    write_report(quick.run, quick=True, data=data)
    assert "likely wrong labels" in quick.run.model_card.read_text(encoding="utf-8").partition("was not measured")[2]
    assert "\n\n\n" not in card


def test_command(tmp_path, data, command):
    made = make_run(tmp_path / "run", data)
    done = run_command("report", made.run.folder, "--quick", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["report"] == str(made.run.report)
    assert result["bytes"] == made.run.report.stat().st_size
    assert result["missing"] == ["robustness", "outliers", "labels", "duplicates", "looks"]
    assert result["test_accuracy"] == read_json(made.run.metrics)["test"]["figures"]["accuracy"]["value"]
    _, out, _ = command("report", made.run.folder, "--quick")
    assert "report.html" in out
    assert "MODEL_CARD.md" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("nowhere",), "no run at 'nowhere'"),
        (("empty",), "is no run folder"),
        (("dead",), "died before it wrote its data.json"),
        (("dead", "--label-folds", "1"), "label_folds is 1"),
    ],
)
def test_command_refuses_in_one_line(tmp_path, command, words, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead" / "recipe.toml").write_text("", encoding="utf-8")
    status, out, err = command("report", *words)
    assert (status, out) == (2, "")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_splits_without_doubles_say_so(tmp_path, data):
    made = make_run(tmp_path / "clean", data)
    made.run.onnx_model.write_bytes(b"a model")
    write_analysis(made.run, data.class_names)
    path = made.run.analysis_record("duplicates")
    record = read_json(path)
    record["between"] = [record["between"][0] | {"num_exact": 0, "num_near": 0, "num_affected": 0}]
    write_json(path, record | {"pairs": [], "accuracy_without": record["accuracy_with"]})
    write_report(made.run, quick=True, data=data)
    words = words_of(made.run.report.read_text(encoding="utf-8"))
    assert "Here none has one, and the accuracy is the same without doubles: 70.0 %" in words
    assert "train and test: no doubles (20 and 60 images)." in words
