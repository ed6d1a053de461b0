"""`tinysight export`: a finished run as files for other programs, each checked on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tinysight.errors import RunError
from tinysight.export.build import Outcome, make_exports
from tinysight.export.formats import Wanted, wanted_formats
from tinysight.export.held_out import load_held_out
from tinysight.export.litert_model import require_litert
from tinysight.runs import export_name, open_run

Say = Callable[[str], None]


def export_run(
    path: str | Path,
    formats: Sequence[str],
    *,
    quantize: str | None = None,
    force: bool = False,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    own_model: str | None = None,
    say: Say = lambda text: None,
) -> Outcome:
    """Writes each format, checks it beside Keras on every test image, and keeps what passes.

    Args:
        path: a finished run's folder.
        formats: "onnx", "litert", "saved-model", "keras", "web".
        quantize: "int8" or None.
        force: whether an int8 file may lose more than a point of accuracy.
        out: where the files go; None for `exports` in the run, whose files are replaced.
        data_dir: where extracted archives lie, or the run's own images by now; None for where they lay in training.
        own_model: `path/to/file.py:function`, for a net with classes of the person's own.
        say: takes lines for a person.

    Returns:
        The files that passed, and an error for each format that did not.

    Raises:
        UnknownNameError, InvalidValueError: for formats that do not exist or do not go with `quantize`.
        RunError: when there is no finished run, or a file is in the way in `out`.
        DataError: when the run's data cannot be had, without which nothing can be checked.
        ModelError: when LiteRT's runtime is not installed, the run's model cannot be loaded, or the only format asked
            for fails.
    """
    wanted = wanted_formats(formats, quantize)
    if any(item.format == "litert" for item in wanted):
        require_litert()
    run = open_run(path)
    folder = run.exports if out is None else _free_folder(Path(out), wanted)
    held_out = load_held_out(run, data_dir)
    say(f"checking {', '.join(item.title for item in wanted)} on {len(held_out.test):,} test images of {held_out.data}")
    outcome = make_exports(run, held_out, wanted, folder, own_model=own_model, force=force)
    if not outcome.exports and len(outcome.failures) == 1:
        raise outcome.failures[0]
    return outcome


def _free_folder(folder: Path, wanted: Sequence[Wanted]) -> Path:
    """A folder of the person's own, where nothing is replaced."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; expected a folder for --out")
    for item in wanted:
        target = folder / export_name(item.format, item.quantize)
        if target.exists():
            raise RunError(f"{target} exists already and is not replaced: name another folder with --out")
    return folder
