"""The page's own files, each at a route of its own.

A folder mounted at "/" would also answer what belongs to other routes: `GET /predict` must say 405, not 404.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

PAGE = Path(__file__).parent / "page"

# A Windows registry may say otherwise, and a browser then refuses modules.
mimetypes.add_type("text/javascript", ".js")


def page_routes() -> APIRouter:
    """`/` and every file that it needs; none of them asks for a key, as a page cannot send one before it is there."""
    router = APIRouter()
    files = StaticFiles(directory=PAGE)

    def add(path: str, name: str) -> None:
        async def answer(request: Request) -> Response:
            response = await files.get_response(name, request.scope)
            # Kept, but asked for again: after an update old modules must not meet new ones.
            response.headers["Cache-Control"] = "no-cache"
            return response

        router.add_api_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False, name=name)

    for file in sorted(PAGE.glob("[!.]*.*")):
        add("/" if file.name == "index.html" else f"/{file.name}", file.name)
    return router
