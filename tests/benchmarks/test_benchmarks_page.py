"""The page: one measure can be taken anew, and everything else stays as it is."""

from __future__ import annotations

import pytest

from tinysight.benchmarks.measures import MEASURES
from tinysight.benchmarks.page import NOT_YET, machine_lines, new_page, with_machine, with_measure
from tinysight.errors import InvalidValueError

MACHINE = {
    "processor": "Quick Brown 9000, 2 cores",
    "memory_bytes": 8 * 2**30,
    "system": "Linux 6",
    "date": "2026-11-22",
    "versions": {"python": "3.11.7", "keras": "3.15.1"},
}


def row_of(page: str, name: str) -> list[str]:
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_nothing_is_measured_at_first() -> None:
    page = new_page(MEASURES)
    for name, measure in MEASURES.items():
        assert row_of(page, name) == [f"`{name}`", measure.title, measure.against, measure.goal, NOT_YET, "-"]
        assert f"\n## {name}\n" in page
        assert f"<!-- begin {name} -->\n\n{NOT_YET}\n\n<!-- end {name} -->\n" in page


def test_one_measure_replaces_only_itself() -> None:
    mine = "\n## Kill and resume\nWritten by hand.\n"
    page = new_page(MEASURES).replace("\n## predict\n", mine + "\n## predict\n")
    once = with_measure(page, MEASURES["predict"], "4.0 and 12.0 times", True, ["| a | b |", r"\1 stays \g<0>"])
    assert row_of(once, "predict")[-2:] == ["4.0 and 12.0 times", "yes"]
    assert r"\1 stays \g<0>" in once
    assert mine in once
    twice = with_measure(once, MEASURES["predict"], "2.0 and 1.0 times", False, ["again"])
    assert row_of(twice, "predict")[-2:] == ["2.0 and 1.0 times", "no"]
    assert "stays" not in twice
    # Put back, it is the page as it was: nothing else has moved by a letter.
    back = with_measure(twice, MEASURES["predict"], NOT_YET, None, [NOT_YET])
    assert back == page


def test_a_measure_that_the_page_does_not_know_is_added() -> None:
    others = {name: measure for name, measure in MEASURES.items() if name != "memory"}
    page = with_measure(new_page(others), MEASURES["memory"], "at most 0.90 GB", True, ["0.90"])
    assert row_of(page, "memory")[-2:] == ["at most 0.90 GB", "yes"]
    assert page.rstrip().endswith("<!-- begin memory -->\n\n0.90\n\n<!-- end memory -->")
    assert row_of(page, "sprint")[-2] == NOT_YET


def test_the_machine_stands_at_the_top() -> None:
    page = with_machine(new_page(MEASURES), MACHINE)
    lines = machine_lines(MACHINE)
    assert lines[0] == "- machine: Quick Brown 9000, 2 cores, 8.0 GiB, Linux 6"
    assert "\n".join(lines) in page.partition("## All measures")[0]
    assert "memory not told" in machine_lines({**MACHINE, "memory_bytes": None})[0]


def test_a_page_without_marks() -> None:
    with pytest.raises(InvalidValueError, match="no marks <!-- begin summary -->"):
        with_measure("# My page\n", MEASURES["predict"], "", None, [])
