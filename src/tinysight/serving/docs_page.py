"""The page at /docs: the OpenAPI document for people, as plain HTML without scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render_docs(openapi: dict[str, Any]) -> str:
    """The document as one HTML page.

    Args:
        openapi: what /openapi.json holds.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = openapi.get("components", {}).get("schemas", {})
    return environment.get_template("docs.html").render(info=openapi["info"], operations=operations, schemas=schemas)
