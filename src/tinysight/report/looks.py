"""What the net looks at, as records of pictures: heat maps, kernels, layers and fixed kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysight.report.pictures import data_uri, heat_overlay, sheet
from tinysight.report.words import counted, score

Arrays = Mapping[str, NDArray[Any]]
MAX_KERNELS, MAP_SIDE = 96, 48


@dataclass(frozen=True, kw_only=True)
class Explanation:
    uri: str
    overlay: str
    role: str
    given: str
    predicted: str
    score: str
    is_right: bool
    index: int


@dataclass(frozen=True, kw_only=True)
class PictureWithWords:
    uri: str
    name: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """The windows of the first layer."""

    uris: tuple[str, ...]
    name: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What the net looks at; `kernels` is None for a net whose first layer is no convolution."""

    method: str
    words: str
    images: tuple[Explanation, ...]
    kernels: Kernels | None
    feature_image: str
    feature_maps: tuple[PictureWithWords, ...]
    classic: tuple[PictureWithWords, ...]


def looks_of(record: Mapping[str, Any], arrays: Arrays) -> Looks:
    """The part "explain" of docs/evaluation.md as pictures."""
    images = [
        Explanation(
            uri=data_uri(image),
            overlay=data_uri(heat_overlay(image, heat)),
            role=item["role"],
            given=item["given"],
            predicted=item["predicted"],
            score=score(item["score"]),
            is_right=item["given_index"] == item["predicted_index"],
            index=item["index"],
        )
        for item, image, heat in zip(record["images"], arrays["images"], arrays["heat_maps"], strict=True)
    ]
    feature_maps = [
        PictureWithWords(
            uri=data_uri(sheet(_fit(arrays[item["array"]]), num_columns=8, gap=3), max_side=None),
            name=item["layer"],
            words=f"{item['kind']}, {item['height']} x {item['width']}, {len(arrays[item['array']])} of"
            f" {counted(item['num_channels'], 'channel')}",
        )
        for item in record["feature_maps"]
    ]
    classic = [
        PictureWithWords(uri=data_uri(picture), name=item["name"], words=item["words"])
        for item, picture in zip(record["classic"], arrays["classic"], strict=True)
    ]
    return Looks(
        method=record["method"],
        words=record["words"],
        images=tuple(images),
        kernels=_kernels(record["kernels"], arrays),
        feature_image=data_uri(arrays["feature_image"]),
        feature_maps=tuple(feature_maps),
        classic=tuple(classic),
    )


def _fit(maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Maps of 24 to 48 pixels a side: larger ones lose rows and columns, those of few cells get larger cells."""
    step = -(-max(maps.shape[1:]) // MAP_SIDE)
    factor = max(1, MAP_SIDE // max(maps.shape[1:]))
    return maps[:, ::step, ::step].repeat(factor, axis=1).repeat(factor, axis=2)


def _kernels(record: Mapping[str, Any] | None, arrays: Arrays) -> Kernels | None:
    if record is None:
        return None
    shown = arrays["kernels"][:MAX_KERNELS]
    words = f"{counted(record['num_filters'], 'window')} of {record['height']} x {record['width']} pixels"
    if len(shown) < record["num_filters"]:
        words += f", the first {len(shown)} shown"
    return Kernels(uris=tuple(map(data_uri, shown)), name=record["layer"], words=words)
