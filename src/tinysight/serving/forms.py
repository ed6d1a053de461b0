"""The three forms in which pictures come to `POST /predict`, each to a list of image files as bytes."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from fastapi import HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

# The one field, of multipart forms and of JSON alike.
FIELD = "images"


def extract_images(body: bytes, content_type: str, max_images: int) -> list[bytes]:
    """The image files in a request, undecoded, in order.

    Args:
        body: the whole body.
        content_type: its header.
        max_images: how many are allowed.

    Raises:
        HTTPException: 415 when the form is none of the three; 400 when it is damaged; 422 when it holds something else.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return _from_multipart(body, options.get(b"boundary", b""), max_images)
    if kind == b"application/json":
        return _from_json(body, max_images)
    if kind.startswith(b"image/") or kind == b"application/octet-stream":
        if not body:
            raise HTTPException(422, "the body is empty; expected an image file")
        return [body]
    raise HTTPException(
        415,
        f"the content type is {content_type[:100]!r}; expected multipart/form-data, application/json, image/* or"
        " application/octet-stream",
    )


def _from_json(body: bytes, max_images: int) -> list[bytes]:
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is no JSON in UTF-8") from None
    expected = f'expected {{"{FIELD}": ["<base64 of an image file>", ...]}}'
    if not isinstance(value, dict) or list(value) != [FIELD]:
        raise HTTPException(422, f"the JSON is not an object with the one field '{FIELD}'; {expected}")
    items = value[FIELD]
    if not isinstance(items, list) or not items:
        raise HTTPException(422, f"'{FIELD}' is not a list with something in it; {expected}")
    if len(items) > max_images:
        raise _too_many(max_images)
    return [_from_base64(item, number) for number, item in enumerate(items, start=1)]


def _from_base64(item: Any, number: int) -> bytes:
    if not isinstance(item, str):
        raise HTTPException(422, f"image {number} is a JSON {type(item).__name__}; expected text in base64")
    try:
        return base64.b64decode(item, validate=True)
    except (binascii.Error, ValueError):
        raise HTTPException(422, f"image {number} is not base64 (a data: or http: address is not taken)") from None


def _too_many(max_images: int) -> HTTPException:
    images = "image" if max_images == 1 else "images"
    return HTTPException(422, f"more than {max_images} {images}, the limit for one request")


def _from_multipart(body: bytes, boundary: bytes, max_images: int) -> list[bytes]:
    if not boundary:
        raise HTTPException(400, "the multipart form has no boundary in its content type")
    form = _Form(max_images)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise HTTPException(400, "the multipart form is damaged") from None
    if not form.is_complete:
        raise HTTPException(400, "the multipart form is cut off")
    if not form.images:
        raise HTTPException(422, f"the form is empty; expected one or more files in the field '{FIELD}'")
    return form.images


class _Form:
    """Gathers the parts of a multipart form as the parser meets them."""

    def __init__(self, max_images: int) -> None:
        self.images: list[bytes] = []
        self.is_complete = False
        self._max_images = max_images
        self._name, self._value, self._data = b"", b"", bytearray()
        # What headers were found to say: those of many parts are the same, and reading one is a third of a part's cost.
        self._known: dict[bytes, bytes | None] = {}

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._check_field,
            "on_part_begin": self._begin_part,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._field: bytes | None = None
        self._data = bytearray()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            if self._value not in self._known:
                _, options = parse_options_header(self._value)
                self._known[self._value] = options.get(b"name")
            self._field = self._known[self._value]
        self._name, self._value = b"", b""

    def _check_field(self) -> None:
        if self._field != FIELD.encode():
            came = (self._field or b"").decode("utf-8", "replace")[:100]
            raise HTTPException(422, f"the form has a field {came!r}; expected only '{FIELD}'")
        if len(self.images) == self._max_images:
            raise _too_many(self._max_images)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _end_part(self) -> None:
        self.images.append(bytes(self._data))

    def _end(self) -> None:
        self.is_complete = True
