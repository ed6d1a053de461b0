"""The page of measures, Markdown: each has a section between marks of its own, so that one can be taken anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tinysight.benchmarks.measure import Measure
from tinysight.errors import InvalidValueError

NOT_YET = "not yet measured"
_INTRODUCTION = """\
# Benchmarks
Tinysight beside plain Keras on the same machine. `tinysight bench train` runs both in turn and prints medians, spread
(smallest to largest) and ratios; with `--out docs/benchmarks.md` it writes them here. Whole processes are timed,
imports and compilation included; the plain programs are in `benchmarks/plain_keras/`. Nothing else should run
meanwhile. Each round has a seed of its own, 0, 1, ..., and who comes first alternates.

```sh
tinysight bench train --data-dir DATA --out docs/benchmarks.md                     # everything: hours
tinysight bench train --data-dir DATA --out docs/benchmarks.md --measure predict   # one measure
tinysight bench train --data-dir DATA --rehearse                                   # does it work? minutes; no figures
```
"""


def new_page(measures: Mapping[str, Measure]) -> str:
    """A page on which nothing is measured yet."""
    table = _block("summary", _empty_table(measures))
    sections = [_new_section(measure) for measure in measures.values()]
    return "".join([_INTRODUCTION, "\n", _block("machine", [NOT_YET]), "\n## All measures\n", table, *sections])


def with_machine(page: str, machine: Mapping[str, Any]) -> str:
    """The page, with the machine on which it was last measured."""
    return _replace(page, "machine", ["Last measured on:", "", *machine_lines(machine)])


def machine_lines(machine: Mapping[str, Any]) -> list[str]:
    """Machine, date and versions as Markdown."""
    memory = machine["memory_bytes"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [
        f"- machine: {machine['processor']}, {'memory not told' if memory is None else f'{memory / 2**30:.1f} GiB'},"
        f" {machine['system']}",
        f"- date: {machine['date']}",
        f"- versions: {versions}",
    ]


def with_measure(page: str, measure: Measure, measured: str, is_met: bool | None, lines: list[str]) -> str:
    """The page with one measure's section and its row of the table replaced.

    Args:
        page: as it was.
        measure: which.
        measured: for the table.
        is_met: whether the goal is reached; None where that cannot be told.
        lines: the section, Markdown.

    Raises:
        InvalidValueError: for a page without the marks of the table.
    """
    if _pattern(measure.name).search(page) is None:
        page = page.rstrip("\n") + "\n" + _new_section(measure)
    page = _replace(page, measure.name, lines)
    row = _row(measure, measured, {True: "yes", False: "no", None: "-"}[is_met])
    rows = _content(page, "summary").splitlines()
    start = f"| `{measure.name}` |"
    is_there = any(line.startswith(start) for line in rows)
    rows = [row if line.startswith(start) else line for line in rows] + ([] if is_there else [row])
    return _replace(page, "summary", rows)


def _empty_table(measures: Mapping[str, Measure]) -> list[str]:
    head = ["| measure | what | against | goal | measured | reached |", "| --- | --- | --- | --- | --- | --- |"]
    return head + [_row(measure, NOT_YET, "-") for measure in measures.values()]


def _row(measure: Measure, measured: str, reached: str) -> str:
    cells = (f"`{measure.name}`", measure.title, measure.against, measure.goal, measured, reached)
    return f"| {' | '.join(cells)} |"


def _new_section(measure: Measure) -> str:
    title = measure.title[0].upper() + measure.title[1:]
    return f"\n## {measure.name}\n{title}, against {measure.against}; goal: {measure.goal}.\n\n" + _block(
        measure.name, [NOT_YET]
    )


def _block(name: str, lines: list[str]) -> str:
    # GitHub reads a table only after an empty line.
    return "\n".join([f"<!-- begin {name} -->", "", *lines, "", f"<!-- end {name} -->"]) + "\n"


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- begin {re.escape(name)} -->\n(.*?)<!-- end {re.escape(name)} -->\n", re.DOTALL)


def _content(page: str, name: str) -> str:
    found = _pattern(name).search(page)
    if found is None:
        raise InvalidValueError(
            f"the page has no marks <!-- begin {name} --> and <!-- end {name} -->: name a file that this command wrote,"
            " or a new one"
        )
    return found[1].strip("\n")


def _replace(page: str, name: str, lines: list[str]) -> str:
    _content(page, name)
    return _pattern(name).sub(lambda _: _block(name, lines), page, count=1)
