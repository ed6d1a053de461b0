"""Runs side by side."""

import json

import pytest
from report_runs import make_data, make_run
from test_render import Page, words_of
from whole_commands import run_command

from tinysight.errors import DataError, InvalidValueError, RunError
from tinysight.verbs.compare import compare
from tinysight.verbs.report import report


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data") / "animals.npz", ("ant", "bee", "cow"), num_test=300)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "good", data, skill=3.0, learning_rate=0.01)
    make_run(folder / "poor", data, skill=0.5, validation="test", dropout=0.25)
    make_run(folder / "alike", data, skill=3.0, seed=1)
    return folder


def test_a_clear_difference_is_one(runs, tmp_path):
    result = compare([runs / "poor", runs / "good"], output=tmp_path / "page.html")
    (test,) = result.sides.tests
    assert test.result.verdict.startswith("Run good is better than run poor by")
    assert test.result.difference.value > 0.2
    names = dict(result.sides.differing)
    assert names["learning_rate"] == ("0.001", "0.01")
    assert names["dropout"] == ("0.25", "0.5")
    assert "seed" not in names
    assert any("poor was validated on the test split" in notice for notice in result.sides.notices)


def test_a_small_difference_is_none(runs, tmp_path):
    result = compare([runs / "good", runs / "alike"], output=tmp_path / "page.html")
    assert result.sides.tests[0].result.verdict.startswith("No difference")


def test_the_page_holds_its_numbers(runs, tmp_path):
    result = compare([runs / "good", runs / "poor", runs / "alike"], output=tmp_path / "page.html")
    text = result.page.read_text(encoding="utf-8")
    page = Page(text)
    assert page.data == json.loads(json.dumps(result.sides.to_dict()))
    assert len(page.data["comparisons"]) == 3
    for test in result.sides.tests:
        assert test.result.verdict.replace("<", "&lt;") in text
    assert "learning_rate" in words_of(text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_many_runs_are_tested_against_the_first(tmp_path, data):
    folders = [make_run(tmp_path / f"run-{seed}", data, seed=seed).run.folder for seed in range(5)]
    result = compare(folders, output=tmp_path / "page.html")
    assert [test.first for test in result.sides.tests] == ["run-0"] * 4


def test_runs_over_seeds_are_taken_together(tmp_path, data):
    folders = [make_run(tmp_path / f"a{seed}", data, seed=seed, skill=3.0).run.folder for seed in range(2)]
    folders += [
        make_run(tmp_path / f"b{seed}", data, seed=seed, skill=0.5, dropout=0.1).run.folder for seed in range(2)
    ]
    sides = compare(folders, output=tmp_path / "page.html").sides
    assert [group.names for group in sides.groups] == [("a0", "a1"), ("b0", "b1")]
    assert len(sides.seed_tests) == 1
    assert "the recipe of a0" in sides.seed_tests[0].verdict.lower()
    assert "a0 and a1: mean accuracy" in sides.groups[0].words


def test_runs_of_the_same_seed_are_one_seed(tmp_path, data):
    def made(name, **options):
        return make_run(tmp_path / name, data, **options).run.folder

    once = [made("a"), made("b", dropout=0.1)]
    again = [made("a-again"), made("b-again", dropout=0.1)]
    sides = compare([*once, *again], output=tmp_path / "page.html").sides
    assert (sides.groups, sides.seed_tests) == ((), ())
    notice = "a-again and b-again repeat the recipe and the seed of a run before: over seeds they do not count."
    assert notice in sides.notices
    result = compare(
        [*once, *again, made("a1", seed=1), made("b1", seed=1, dropout=0.1)], output=tmp_path / "page.html"
    )
    assert [group.names for group in result.sides.groups] == [("a", "a1"), ("b", "b1")]
    assert result.sides.seed_tests[0].difference.n == 4
    assert notice in words_of(result.page.read_text(encoding="utf-8"))
    assert not any("repeat" in notice for notice in compare(once, output=tmp_path / "page.html").sides.notices)


def test_runs_of_the_same_name_are_called_by_their_folders(tmp_path, data):
    folders = [make_run(tmp_path / side / "run", data, seed=seed).run.folder for seed, side in enumerate("ab")]
    names = [column.name for column in compare(folders, output=tmp_path / "page.html").sides.columns]
    assert names == [str(folder) for folder in folders]


def test_different_test_images_are_refused(runs, tmp_path):
    def other(name, **options):
        data = make_data(tmp_path / f"{name}.npz", options.pop("class_names", ("ant", "bee", "cow")), **options)
        return make_run(tmp_path / name, data).run.folder

    page = tmp_path / "page.html"
    for folder, words in (
        (other("fewer", num_test=100), "300 and 100 images"),
        (other("classes", class_names=("ant", "bee", "dog"), num_test=300), "different classes"),
        (other("elsewhere", num_test=300), "different images"),
    ):
        with pytest.raises(DataError, match=words):
            compare([runs / "good", folder], output=page)
    assert not page.exists()


def test_too_few_runs_unfinished_ones_and_the_same_one_are_refused(runs, tmp_path, data):
    page = tmp_path / "page.html"
    with pytest.raises(InvalidValueError, match="two or more"):
        compare([runs / "good"], output=page)
    with pytest.raises(InvalidValueError, match="named twice"):
        compare([runs / "good", runs / ".." / runs.name / "good"], output=page)
    dead = make_run(tmp_path / "dead", data, finished=False).run.folder
    with pytest.raises(RunError, match="did not finish"):
        compare([runs / "good", dead], output=page)


def test_only_a_page_of_ours_is_overwritten(runs, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<h1>mine</h1>", encoding="utf-8")
    with pytest.raises(InvalidValueError, match="no comparison of ours"):
        compare([runs / "good", runs / "poor"], output=page)
    assert page.read_text(encoding="utf-8") == "<h1>mine</h1>"
    with pytest.raises(InvalidValueError, match=r"does not end in \.html"):
        compare([runs / "good", runs / "poor"], output=tmp_path / "page.txt")
    page.unlink()
    for _ in range(2):
        assert compare([runs / "good", runs / "poor"], output=page).page == page


def test_other_pages_of_tinysight_are_not_overwritten(runs, tmp_path, data):
    folder = make_run(tmp_path / "own", data).run.folder
    report(folder, quick=True)
    page = folder / "report.html"
    before = page.read_bytes()
    with pytest.raises(InvalidValueError, match="no comparison of ours"):
        compare([runs / "good", folder], output=page)
    assert page.read_bytes() == before


def test_command(runs, tmp_path, command):
    done = run_command("compare", runs / "good", runs / "poor", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [run["name"] for run in result["runs"]] == ["good", "poor"]
    assert result["page"] == "comparison.html"
    assert (tmp_path / "comparison.html").is_file()
    _, out, _ = command("compare", runs / "good", runs / "poor")
    assert "Run good is better than run poor" in out
    assert "learning_rate" in out
    status, out, err = command("compare", runs / "good")
    assert (status, out) == (2, "")
    assert err.startswith("tinysight: 1 run to compare")
