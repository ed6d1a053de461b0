"""`tinysight bench train`: speed beside plain Keras, on this machine."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinysight.benchmarks.bench import Bench, plain_scripts
from tinysight.benchmarks.machine import describe_machine, load
from tinysight.benchmarks.measure import Measure, Outcome
from tinysight.benchmarks.measures import MEASURES
from tinysight.benchmarks.page import machine_lines, new_page, with_machine, with_measure
from tinysight.cores import num_cores
from tinysight.data import catalog
from tinysight.errors import DataUnavailableError, InvalidValueError, UnknownNameError
from tinysight.files import write_text
from tinysight.recipe import recipe_names
from tinysight.training.backend import jax_sees_gpu

Say = Callable[[str], None]
# More than this share of the cores busy, and figures say as much about something else.
BUSY = 0.3


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One measure as it was taken.

    Attributes:
        measure: which.
        command: that takes it again.
        load: processes that wanted a core in the minute before; None where the system does not tell.
        note: the person's own line, or empty.
        outcome: what came of it.
    """

    measure: Measure
    command: str
    load: float | None
    note: str
    outcome: Outcome

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "measure": self.measure.name,
            "title": self.measure.title,
            "against": self.measure.against,
            "goal": self.measure.goal,
            "measured": self.outcome.measured,
            "is_met": self.outcome.is_met,
            "command": self.command,
            "load": self.load,
            "note": self.note,
            "figures": self.outcome.figures,
        }


@dataclass(frozen=True, kw_only=True)
class Results:
    """What one call measured.

    Attributes:
        machine: as `describe_machine` gives it.
        taken: one a measure.
        left_out: name and reason of each measure that is not possible here.
        page: the page that was written, or None.
    """

    machine: dict[str, Any]
    taken: list[Taken]
    left_out: dict[str, str]
    page: Path | None

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "machine": self.machine,
            "measures": [taken.to_dict() for taken in self.taken],
            "left_out": self.left_out,
            "page": None if self.page is None else str(self.page),
        }


def bench_train(
    *,
    measures: Sequence[str] = (),
    rounds: int = 3,
    seeds: int = 3,
    data_dir: str | None = None,
    out: str | Path | None = None,
    keep: str | Path | None = None,
    note: str = "",
    rehearse: bool = False,
    say: Say = lambda text: None,
) -> Results:
    """Takes measures one after the other; nothing else should run meanwhile.

    Args:
        measures: by name; none for all that are possible here.
        rounds: how often the two sides take their turns.
        seeds: trainings of a measure that has only one side.
        data_dir: where extracted archives lie; None for the cache.
        out: a page to write, or in which to replace the sections of these measures; after each of them.
        keep: a folder, new or empty, in which the trained runs stay, to score them otherwise; None to remove them.
        note: a line for each of these sections, as which test images these are.
        rehearse: whether to go through everything once, with few images and one epoch; the figures mean nothing.
        say: takes lines for a person.

    Returns:
        The machine, what each measure came to, and which were not possible here.

    Raises:
        UnknownNameError: for a measure that does not exist, or whose recipe does not.
        InvalidValueError: for a measure that cannot be taken, a page that is none, a rehearsal with a page, or a folder
            to keep runs in that holds something.
        DataUnavailableError: for data that a named measure needs.
        TrainingStoppedError: when a program fails.
    """
    scripts = plain_scripts()
    chosen, left_out = _choose(measures, data_dir)
    if rehearse and out is not None:
        raise InvalidValueError("a rehearsal's figures mean nothing and go on no page: leave out --out or --rehearse")
    page = None if out is None else Path(out)
    if page is not None:
        _page(page)
    kept = None if keep is None else _new_folder(Path(keep))
    for name, reason in left_out.items():
        say(f"{name} is left out: {reason}")
    _warn(say)
    machine, taken = describe_machine(), []
    with tempfile.TemporaryDirectory(prefix="tinysight-bench-", ignore_cleanup_errors=True) as folder:
        bench = Bench(
            folder=Path(folder), scripts=scripts, kept=kept, data_dir=data_dir, rounds=1 if rehearse else rounds,
            seeds=seeds, rehearse=rehearse, say=say,
        )  # fmt: skip
        if not rehearse:
            _warm_up(bench)
        for measure in chosen:
            say(f"{measure.name}: {measure.title}")
            taken.append(_take(measure, bench, note))
            say(f"{measure.name}: {taken[-1].outcome.measured}")
            if page is not None:
                write_text(page, _with(_page(page), machine, taken[-1]))
    return Results(machine=machine, taken=taken, left_out=left_out, page=page)


def _choose(names: Sequence[str], data_dir: str | None) -> tuple[list[Measure], dict[str, str]]:
    for name in names:
        if name not in MEASURES:
            raise UnknownNameError("measure", name, MEASURES)
    reasons = {name: _why_not(measure, data_dir) for name, measure in MEASURES.items()}
    for name in names:
        if reasons[name]:
            raise DataUnavailableError(f"{name} cannot be measured here: {reasons[name]}")
    chosen = [MEASURES[name] for name in names] or [MEASURES[name] for name, reason in reasons.items() if not reason]
    if not chosen:
        words = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise DataUnavailableError(f"nothing can be measured here: {words}")
    return chosen, {} if names else {name: reason for name, reason in reasons.items() if reason}


def _why_not(measure: Measure, data_dir: str | None) -> str:
    """Why a measure cannot be taken here; empty when it can."""
    if measure.needs_gpu and not jax_sees_gpu():
        return "it needs a GPU that JAX sees"
    missing = [recipe for recipe in measure.recipes if recipe not in recipe_names()]
    if missing:
        return f"there is no recipe {', '.join(missing)}"
    absent = [name for name in measure.data if not catalog.is_available_offline(name, data_dir)]
    return f"{absent[0]} is not on disk: `tinysight data fetch {absent[0]}`, or --data-dir" if absent else ""


def _take(measure: Measure, bench: Bench, note: str) -> Taken:
    before = load()
    return Taken(measure=measure, command=_command(measure, bench), load=before, note=note, outcome=measure.take(bench))


def _command(measure: Measure, bench: Bench) -> str:
    words = ["tinysight bench train", "--data-dir DATA" if bench.data_dir else "", f"--measure {measure.name}"]
    if not measure.needs_gpu:
        words += [f"--seeds {bench.seeds}" if measure.name == "cifar10-94" else f"--rounds {bench.rounds}"]
    return " ".join(filter(None, words))


def _warm_up(bench: Bench) -> None:
    """Both programs once, so that none of them pays for what the disk and bytecode caches lack."""
    bench.say("warming up")
    bench.run([sys.executable, "-c", "import keras"])
    bench.run([sys.executable, "-m", "tinysight", "devices"])


def _warn(say: Say) -> None:
    now = load()
    if now is not None and now > BUSY * num_cores():
        say(f"this machine is busy (load {now:g}): figures will be of that, too")


def _page(path: Path) -> str:
    """The page as it is, or a new one; with machine and summary, or it is none of ours."""
    if not path.exists():
        return new_page(MEASURES)
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"cannot read the page {path}: {error}; name another with --out") from None
    for name in ("machine", "summary"):
        if f"<!-- begin {name} -->" not in page:
            raise InvalidValueError(
                f"{path} is no page of this command: it has no mark <!-- begin {name} -->; name another with --out"
            )
    return page


def _new_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        is_empty = not any(path.iterdir())
    except OSError as error:
        raise InvalidValueError(f"cannot keep runs in {path}: {error}; name another folder with --keep") from None
    if not is_empty:
        raise InvalidValueError(f"{path} holds something already: name a new folder with --keep")
    return path


def _with(page: str, machine: dict[str, Any], taken: Taken) -> str:
    outcome = taken.outcome
    about = [
        "",
        *machine_lines(machine),
        f"- command: `{taken.command}`",
        *([] if taken.load is None else [f"- load before: {taken.load:g}"]),
        *([f"- {taken.note}"] if taken.note else []),
    ]
    page = with_machine(page, machine)
    return with_measure(page, taken.measure, outcome.measured, outcome.is_met, [*outcome.lines, *about])
