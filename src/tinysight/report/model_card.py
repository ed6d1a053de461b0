"""MODEL_CARD.md: what the model is, what was measured and what was not.

The headings follow Mitchell et al. 2019, "Model cards for model reporting", FAT* (arXiv 1810.03993).
"""

from __future__ import annotations

from tinysight.files import write_text
from tinysight.report.content import Report
from tinysight.runs import Run

# Part of the analysis -> what it measures.
PARTS = {
    "robustness": "accuracy under noise, blur, brightness, contrast, compression, rotation, shift and occlusion",
    "outliers": "scores of images that show none of the classes",
    "labels": "likely wrong labels",
    "duplicates": "exact and near doubles between the splits",
    "looks": "which parts of an image the answer rests on",
}
# What no run measures, whatever is computed.
NEVER = (
    "fairness towards groups of people: the data set names none",
    "images from other cameras, places or times than those of the data set",
    "images made to deceive the model",
)


def write_model_card(run: Run, report: Report) -> None:
    """Writes the run's model card."""
    write_text(run.model_card, render_model_card(report))


def render_model_card(report: Report) -> str:
    """The card as Markdown."""
    from tinysight.report.render import make_environment

    environment = make_environment(autoescape=False)
    environment.filters |= {"cell": _cell, "prose": _prose}
    parts = {words: getattr(report.analysis, name) is not None for name, words in PARTS.items()}
    text: str = environment.get_template("model_card.md").render(
        report=report,
        facts=dict(report.making.facts),
        measured=[words for words, is_there in parts.items() if is_there],
        missing=[words for words, is_there in parts.items() if not is_there],
        never=NEVER,
    )
    return text


def _prose(text: str) -> str:
    """Sentences whose names cannot become HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _cell(text: str) -> str:
    """A text that cannot end a table's cell, nor become markup."""
    for sign in "\\|<>*_`[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
