"""Exports finished runs to every format and int8, and writes the tables of docs/export.md.

    python benchmarks/exports_of_recipes.py runs/quick runs/tensorflow [--data-dir DATA] [--print]

Each file goes through the check that `tinysight export` makes, on every test image of the run; a float file that fails
is a failure here too. An int8 file is measured however much it loses. Files are made in a temporary folder. Without
`--print` the tables take the place of those in docs/export.md. It exits 1 when a format failed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tinysight.errors import ModelError
from tinysight.export.build import Export, make_exports
from tinysight.export.formats import TITLES, Wanted
from tinysight.export.held_out import load_held_out
from tinysight.files import write_text
from tinysight.recipe import load_recipe
from tinysight.runs import open_run

PAGE = Path(__file__).resolve().parents[1] / "docs" / "export.md"
BEGIN, END = "<!-- exports of recipes: begin -->", "<!-- exports of recipes: end -->"
INT8 = (Wanted(format="onnx", quantize="int8"), Wanted(format="litert", quantize="int8"))
WANTED = (*(Wanted(format=name) for name in TITLES), *INT8)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One run in every format.

    Attributes:
        recipe, data: what it was trained with.
        num_images: how many test images were compared.
        accuracy: of Keras on them, 0..1.
        made: by format and quantization.
        failures: of formats that did not pass.
    """

    recipe: str
    data: str
    num_images: int
    accuracy: float
    made: dict[Wanted, Export]
    failures: list[ModelError]


def export_all(path: Path, data_dir: Path | None) -> Exported:
    run = open_run(path)
    held_out = load_held_out(run, data_dir)
    with tempfile.TemporaryDirectory(prefix="tinysight-exports-") as folder:
        outcome = make_exports(run, held_out, WANTED, Path(folder), force=True)
    return Exported(
        recipe=load_recipe(str(run.recipe)).name,
        data=held_out.data,
        num_images=len(held_out.test),
        accuracy=outcome.keras_accuracy,
        made={made.wanted: made for made in outcome.exports},
        failures=outcome.failures,
    )


def tables(runs: list[Exported]) -> list[str]:
    lines = [
        'Every test image; "same class" is label agreement, points are of accuracy against Keras.',
        "",
        "| recipe, data | images | Keras accuracy | ONNX, kB | int8 ONNX: kB, same class, points"
        " | int8 LiteRT: kB, same class, points |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for run in runs:
        cells = [f"{run.recipe}, {run.data}", f"{run.num_images:,}", f"{run.accuracy:.2%}".replace("%", " %")]
        cells += [_kilobytes(run.made.get(WANTED[0])), *(_quantized(run.made.get(wanted)) for wanted in INT8)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Each format beside Keras, over these runs; differences are of a probability:",
        "",
        "| format | runs that passed | largest difference | images of another class | size beside ONNX |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    return lines + [_format_row(wanted, runs) for wanted in WANTED if wanted.quantize is None]


def _kilobytes(made: Export | None) -> str:
    return "failed" if made is None else f"{made.num_bytes / 1000:,.0f}"


def _quantized(made: Export | None) -> str:
    if made is None:
        return "failed"
    agreement = f"{100 * made.parity.label_agreement:.2f} %"
    return f"{_kilobytes(made)}, {agreement}, {100 * made.parity.accuracy_difference:+.2f}"


def _format_row(wanted: Wanted, runs: list[Exported]) -> str:
    pairs = [(run.made[wanted], run.made.get(WANTED[0])) for run in runs if wanted in run.made]
    passed = f"{len(pairs)} of {len(runs)}"
    if not pairs:
        return f"| {wanted.title} | {passed} | | | |"
    largest = max(made.parity.max_probability_difference for made, _ in pairs)
    changed = sum(round(made.parity.num_images * (1 - made.parity.label_agreement)) for made, _ in pairs)
    if wanted.format == "web":
        size = f"{max(made.num_bytes - onnx.num_bytes for made, onnx in pairs if onnx is not None) / 1000:,.0f} kB more"
        return f"| {wanted.title} | {passed} | {largest:.1e} | {changed} | {size} |"
    ratios = [made.num_bytes / onnx.num_bytes for made, onnx in pairs if onnx is not None]
    return f"| {wanted.title} | {passed} | {largest:.1e} | {changed} | {min(ratios):.2f} to {max(ratios):.2f} |"


def into_page(page: str, lines: list[str]) -> str:
    section = "\n".join([BEGIN, *lines, END])
    if BEGIN not in page:
        raise SystemExit(f"{PAGE} has no line '{BEGIN}'")
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: section, page, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--data-dir", type=Path, help="folder with extracted archives")
    parser.add_argument("--print", action="store_true", dest="is_printed", help="write nothing into docs/export.md")
    options = parser.parse_args()
    results = []
    for path in options.runs:
        print(path, file=sys.stderr)
        results.append(export_all(path, options.data_dir))
    lines = tables(results)
    print("\n".join(lines))
    if not options.is_printed:
        write_text(PAGE, into_page(PAGE.read_text(encoding="utf-8"), lines))
    failures = [f"{result.recipe}: {failure}" for result in results for failure in result.failures]
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
