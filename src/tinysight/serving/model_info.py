"""What a model file says about itself: the record in the metadata of every ONNX file that Tinysight writes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from tinysight.errors import ModelError

# The key in the ONNX file's `metadata_props` that holds the record as JSON.
METADATA_KEY = "tinysight"


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What serving needs to know beside the graph.

    Attributes:
        class_names: one name per output, in output order.
        image_shape: (height, width, channels) of the input; channels is 1 (grey) or 3 (RGB).
        recipe: name of the recipe that it was trained with.
        created: when the file was written, ISO 8601.
        version: version of the package that wrote it.
        num_views: how many versions of an image the graph averages over; each of them lies in memory.
        extra: whatever else the writer wants to travel with the model (parameters, accuracy, data), plain JSON values.

    Raises:
        ModelError: when the values do not fit together.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    recipe: str
    created: str
    version: str
    num_views: int = 1
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.class_names:
            raise ModelError("the model's metadata names no class; expected at least one")
        if len(self.image_shape) != 3 or self.image_shape[2] not in (1, 3) or min(self.image_shape) < 1:
            raise ModelError(
                f"the model's metadata gives the image shape {list(self.image_shape)};"
                " expected [height, width, channels], channels 1 or 3"
            )

        if type(self.num_views) is not int or self.num_views < 1:
            raise ModelError(f"the model's metadata gives {self.num_views!r} views of an image; expected 1 or more")

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def to_json(info: ModelInfo) -> str:
    """The record as one JSON object; `extra` lies in it beside the named fields.

    Raises:
        ModelError: when a key of `extra` is the name of a field.
    """
    fields = asdict(info)
    extra = fields.pop("extra")
    if clash := sorted(fields.keys() & extra.keys()):
        raise ModelError(f"extra metadata may not be called {clash[0]!r}: that is a field of its own")
    return json.dumps(fields | extra, ensure_ascii=False, allow_nan=False)


def from_json(text: str) -> ModelInfo:
    """The record that `to_json` wrote.

    Raises:
        ModelError: when a field is missing or of the wrong type; the text says which.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ModelError(f"the model's metadata is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise ModelError(f"the model's metadata is a JSON {type(value).__name__}; expected an object")
    info = ModelInfo(
        class_names=tuple(_take_list(value, "class_names", str)),
        image_shape=_three(_take_list(value, "image_shape", int)),
        recipe=_take_text(value, "recipe"),
        created=_take_text(value, "created"),
        version=_take_text(value, "version"),
        # Files of before have no such field.
        num_views=value.pop("num_views", 1),
        extra=value,
    )
    return info


def _take(value: dict[str, Any], key: str) -> Any:
    if key not in value:
        raise ModelError(f"the model's metadata lacks {key!r}; write the file with `tinysight train` or `export`")
    return value.pop(key)


def _take_text(value: dict[str, Any], key: str) -> str:
    text = _take(value, key)
    if not isinstance(text, str):
        raise ModelError(f"the model's metadata has {key!r} = {text!r}; expected text")
    return text


def _take_list(value: dict[str, Any], key: str, kind: type) -> list[Any]:
    items = _take(value, key)
    if not isinstance(items, list) or not all(type(item) is kind for item in items):
        raise ModelError(f"the model's metadata has {key!r} = {items!r}; expected a list of {kind.__name__}")
    return items


def _three(items: list[int]) -> tuple[int, int, int]:
    if len(items) != 3:
        raise ModelError(f"the model's metadata gives the image shape {items}; expected [height, width, channels]")
    return items[0], items[1], items[2]
