"""The parts of a report that take longer to measure, as records; each is None until `tinysight report` measured it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from tinysight.evaluation.analysis import read_arrays, read_records
from tinysight.files import digest
from tinysight.report import teacher
from tinysight.report.charts import Chart, Series, make_chart
from tinysight.report.figures import FigureRow, figure_row
from tinysight.report.looks import Looks, looks_of
from tinysight.report.pictures import data_uri
from tinysight.report.words import GAP, counted, percent, score, spoken
from tinysight.runs import Run

Arrays = Mapping[str, NDArray[Any]]
MAX_SUSPECTS, MAX_PAIRS, MAX_EXAMPLES = 24, 12, 6


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One disturbance: its curve, the accuracy at each strength, and one image clean and at the five strengths."""

    name: str
    chart: Chart
    accuracy: tuple[FigureRow, ...]
    mean: str
    drop: str
    pictures: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Robustness:
    sentence: str
    num_images: int
    corruptions: tuple[Corruption, ...]


@dataclass(frozen=True, kw_only=True)
class OutlierSource:
    """Images of no known class: how sure the model is of them, and how well its score tells them from test images."""

    name: str
    words: str
    num_images: int
    sure: str
    most_common: str
    auroc: FigureRow
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Outliers:
    sentence: str
    sure_at: str
    chart: Chart
    sources: tuple[OutlierSource, ...]
    skipped: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Suspect:
    uri: str
    split: str
    index: int
    source: str
    given: str
    suggested: str
    score: str


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Likely wrong labels: `splits` are sentences, `suspects` the worst ones that have a picture."""

    splits: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    num_suspects: int
    has_training: bool


@dataclass(frozen=True, kw_only=True)
class Double:
    first_uri: str
    second_uri: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    sentences: tuple[str, ...]
    doubles: tuple[Double, ...]
    with_doubles: FigureRow
    without_doubles: FigureRow
    num_pairs: int


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What the run holds of its analysis.

    Attributes:
        stale: names of parts that were measured on another model file than the run holds now.
        records: part -> record as stored, for the page's JSON.
    """

    robustness: Robustness | None
    outliers: Outliers | None
    labels: Labels | None
    duplicates: Duplicates | None
    looks: Looks | None
    stale: tuple[str, ...]
    records: Mapping[str, Any]


def read_analysis(run: Run) -> Analysis:
    """The parts that the run holds; those that it lacks are None."""
    records = read_records(run)
    makers = {
        "robustness": _robustness,
        "outliers": _outliers,
        "labels": _labels,
        "duplicates": _duplicates,
        "explain": looks_of,
    }
    made: dict[str, Any] = {
        part: make(records[part], read_arrays(run, part)) if part in records else None for part, make in makers.items()
    }
    made["looks"] = made.pop("explain")
    return Analysis(**made, stale=_stale(run, records), records=records)


def _stale(run: Run, records: Mapping[str, Any]) -> tuple[str, ...]:
    if not records:
        return ()
    model = digest(run.onnx_model if run.onnx_model.is_file() else run.keras_model)
    return tuple(part for part, record in records.items() if record["key"]["model_sha256"] != model)


def _robustness(record: Mapping[str, Any], arrays: Arrays) -> Robustness:
    corruptions = []
    for item, examples in zip(record["corruptions"], arrays["examples"], strict=True):
        accuracy = tuple(figure_row("accuracy", figure) for figure in item["accuracy"])
        corruptions.append(
            Corruption(
                name=spoken(item["name"]),
                chart=_corruption_chart(item, record["clean"]),
                accuracy=accuracy,
                mean=percent(item["mean_accuracy"]),
                drop=f"{100 * item['drop']:.1f}",
                pictures=tuple(data_uri(example) for example in examples),
            )
        )
    return Robustness(
        sentence=teacher.robustness(record), num_images=record["num_images"], corruptions=tuple(corruptions)
    )


def _corruption_chart(item: Mapping[str, Any], clean: Mapping[str, Any]) -> Chart:
    strengths = [float(strength) for strength in item["strengths"]]
    values = [figure["value"] for figure in item["accuracy"]]
    intervals = [figure["interval"] for figure in item["accuracy"]]
    series = [
        Series(name="clean", xs=[0.0, *strengths], ys=[clean["value"]] * (1 + len(strengths)), kind="reference"),
        Series(
            name="accuracy",
            xs=[0.0, *strengths],
            ys=[clean["value"], *values],
            lows=[clean["interval"][0], *(low for low, _ in intervals)],
            highs=[clean["interval"][1], *(high for _, high in intervals)],
        ),
    ]
    return make_chart(
        f"robustness-{item['name']}",
        spoken(item["name"]),
        f"Accuracy under {spoken(item['name'])} of rising strength: {percent(clean['value'])} on clean images,"
        f" {percent(values[-1])} at the strongest.",
        series,
        x_label="strength",
        y_label="accuracy",
        y_range=(0.0, 1.0),
        y_format=lambda value: f"{100 * value:.0f}{GAP}%",
        whole_x=True,
        height=200.0,
    )


def _outliers(record: Mapping[str, Any], arrays: Arrays) -> Outliers:
    sources = []
    for item in record["sources"]:
        name = item["name"].replace(" ", "_").replace("-", "_")
        examples = [data_uri(image) for image in arrays[f"{name}_examples"][:MAX_EXAMPLES]]
        scores = [percent(float(score), 0) for score in arrays[f"{name}_scores"][:MAX_EXAMPLES]]
        sources.append(
            OutlierSource(
                name=item["name"],
                words=item["words"],
                num_images=item["num_images"],
                sure=percent(item["sure"]),
                most_common=f"{item['most_common']} ({percent(item['most_common_share'], 0)})",
                auroc=figure_row("auroc", item["auroc"]["probability"], title="AUROC"),
                examples=tuple(zip(examples, scores, strict=True)),
            )
        )
    return Outliers(
        sentence=teacher.outliers(record),
        sure_at=percent(record["sure_at"], 0),
        chart=_score_chart(record),
        sources=tuple(sources),
        skipped=tuple(record["skipped"]),
    )


def _score_chart(record: Mapping[str, Any]) -> Chart:
    """Test images and the foreign images that the model is surest of."""
    edges = record["edges"]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
    kinds = {"test images": record["inlier_counts"]}
    if record["sources"]:
        worst = max(record["sources"], key=lambda item: item["mean_top_score"])
        kinds[worst["name"]] = worst["counts"]
    series = [
        Series(name=name, xs=middles, ys=[count / max(sum(counts), 1) for count in counts], kind=kind)
        for (name, counts), kind in zip(kinds.items(), ("first", "second"), strict=False)
    ]
    return make_chart(
        "outlier-scores",
        "Top scores of test images and of images of no known class",
        "How often a top score occurs. Where the two curves overlap, the score cannot tell them apart.",
        series,
        x_label="top score",
        y_label="share of images",
        x_range=(0.0, 1.0),
        x_format=lambda value: f"{100 * value:.3g}{GAP}%",
        y_format=lambda value: f"{100 * value:.3g}{GAP}%",
    )


def _labels(record: Mapping[str, Any], arrays: Arrays) -> Labels:
    sentences = [teacher.suspects(split, found) for split, found in record["splits"].items()]
    suspects = [
        Suspect(
            uri=data_uri(image),
            split=item["split"],
            index=item["index"],
            source=item["source"] or "",
            given=item["given"],
            suggested=item["suggested"],
            score=score(item["suggested_probability"]),
        )
        for item, image in zip(record["suspects"], arrays["images"][:MAX_SUSPECTS], strict=False)
    ]
    return Labels(
        splits=tuple(sentences),
        suspects=tuple(suspects),
        num_suspects=sum(found["num_suspects"] for found in record["splits"].values()),
        has_training="train" in record["splits"],
    )


def _duplicates(record: Mapping[str, Any], arrays: Arrays) -> Duplicates:
    sentences = [_between_words(item) for item in record["between"]]
    pictures = zip(arrays["first_images"][:MAX_PAIRS], arrays["second_images"][:MAX_PAIRS], strict=True)
    doubles = [
        Double(first_uri=data_uri(first), second_uri=data_uri(second), words=_double_words(item))
        for item, (first, second) in zip(record["pairs"], pictures, strict=False)
    ]
    return Duplicates(
        sentences=tuple(sentences),
        doubles=tuple(doubles),
        with_doubles=figure_row("accuracy", record["accuracy_with"], title="with all test images"),
        without_doubles=figure_row("accuracy", record["accuracy_without"], title="without the doubles"),
        num_pairs=len(record["pairs"]),
    )


def _between_words(item: Mapping[str, Any]) -> str:
    start = f"{item['first']} and {item['second']}"
    if not item["num_affected"]:
        return f"{start}: no doubles ({item['num_first']:,} and {item['num_second']:,} images)."
    return (
        f"{start}: {counted(item['num_exact'], 'exact double')} and {counted(item['num_near'], 'near double')};"
        f" {counted(item['num_affected'], 'image')} of {item['second']} ({item['num_second']:,} in all)"
        f" {'has one' if item['num_affected'] == 1 else 'have one'}."
    )


def _double_words(item: Mapping[str, Any]) -> str:
    labels = item["first_label"] if item["same_label"] else f"{item['first_label']} and {item['second_label']}"
    likeness = "exact" if item["kind"] == "exact" else f"similarity {item['similarity']:.3f}"
    mirrored = ", mirrored" if item["mirrored"] else ""
    places = f"{item['first']} {item['first_index']} and {item['second']} {item['second_index']}"
    return f"{labels}: {places} ({likeness}{mirrored})"
