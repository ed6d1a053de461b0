"""Records to pages: Jinja2 templates with one style sheet and one script, both inside the page."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from tinysight.files import write_text
from tinysight.images import DataSet
from tinysight.report import words
from tinysight.report.content import Report, load_images, read_content
from tinysight.report.model_card import write_model_card
from tinysight.runs import Run

Say = Callable[[str], None]
# In the order in which a reader asks.
SECTIONS = (
    ("quality", "How good is it?"),
    ("sureness", "How sure is that?"),
    ("failures", "Where does it fail?"),
    ("trust", "Can I trust the score?"),
    ("looks", "What does it look at?"),
    ("making", "How was it made?"),
    ("using", "How do I use it?"),
)


def write_report(
    run: Run,
    *,
    quick: bool = False,
    data: DataSet | None = None,
    data_dir: str | Path | None = None,
    label_folds: int = 0,
    summary: Mapping[str, Any] | None = None,
    say: Say = lambda text: None,
) -> Report:
    """Writes the run's report.html and MODEL_CARD.md.

    Args:
        run: a run with at least its recipe, data description and environment; one that died shows what there is.
        quick: whether to leave out what takes longer and is not in the run yet: robustness, outliers, labels, doubles
            and what the net looks at.
        data: the run's data set; None to load it again.
        data_dir: where extracted archives lie, or one's own images where they moved; None for where they lay when the
            run was trained.
        label_folds: into how many folds the training images are cut to check their labels, each a training of its own;
            0 to check held-out labels alone.
        summary: of a training that is about to be marked as finished, so that the marker stays the last file; None to
            go by the marker.
        say: takes lines for a person.

    Returns:
        What the page shows.
    """
    missing = ""
    if data is None:
        data, missing = load_images(run, data_dir)
    if missing:
        say(f"the page has no pictures of the images: {missing}")
    if not quick and data is not None and run.is_finished:
        _analyze(run, data, data_dir, label_folds, say)
    report = read_content(run, data, missing, summary=summary)
    write_text(run.report, render_report(report))
    write_model_card(run, report)
    return report


def _analyze(run: Run, data: DataSet, data_dir: str | Path | None, label_folds: int, say: Say) -> None:
    from tinysight.training.backend import choose_backend

    choose_backend()
    from tinysight.evaluation.analysis import analyze

    names_the_images = data_dir is not None and data.name == str(Path(data_dir).expanduser().resolve())
    archives = None if names_the_images else data_dir
    analyze(run, data, label_folds=label_folds, data_dir=archives, say=say)


def render_report(report: Report) -> str:
    """The page of a run."""
    return render("report.html", data=report.data, report=report, sections=SECTIONS)


def render(template: str, *, data: Mapping[str, Any], **records: Any) -> str:
    """A page from a template that extends `base.html`.

    Args:
        template: its name in `pages/`.
        data: JSON values that the page carries.
        **records: what the template shows.
    """
    from markupsafe import Markup

    style, script = _asset("page.css"), _asset("page.js")
    page: str = (
        make_environment()
        .get_template(template)
        .render(
            style=Markup(style),
            script=Markup(script),
            style_digest=_digest(style),
            script_digest=_digest(script),
            data=Markup(script_json(data)),
            version=importlib.metadata.version("tinysight"),
            **records,
        )
    )
    return page


def make_environment(*, autoescape: bool = True) -> Any:
    """Jinja2 over the files in `pages/`; a name that a template misspells is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinysight.report", "pages"),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "percent": words.percent, "score": words.score, "count": words.count, "commands": _commands,
    }  # fmt: skip
    return environment


def _commands(text: str) -> Any:
    """A sentence as HTML, with what stands between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def script_json(value: Mapping[str, Any]) -> str:
    """JSON that may stand inside a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _asset(name: str) -> str:
    return (resources.files("tinysight.report") / "pages" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """As a content security policy names an inline style or script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
