"""The HTTP service: routes, keys and documents around `Service`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST

from tinysight.serving.answers import ExamplePictures, Explanation, Health, Model, Predictions, Problem
from tinysight.serving.bodies import Linger
from tinysight.serving.docs_page import render_docs
from tinysight.serving.examples import Examples
from tinysight.serving.forms import FIELD
from tinysight.serving.headers import SafeHeaders
from tinysight.serving.keys import is_known
from tinysight.serving.limits import ServiceLimits
from tinysight.serving.metrics import Measure
from tinysight.serving.page_files import page_routes
from tinysight.serving.predictor import Predictor
from tinysight.serving.service import Service

_REASONS = {
    400: "The body is damaged or was broken off.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The content type is none of those above.",
    422: "A picture cannot be read or has too many pixels; a field is wrong; there are too many pictures.",
    503: "Too many requests at once; `Retry-After` says when to try again.",
}


def create_app(
    predictor: Predictor,
    limits: ServiceLimits | None = None,
    keys: Sequence[str] = (),
    examples: Examples | None = None,
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        predictor: the model.
        limits: what requests may cost; the defaults when None.
        keys: API keys, one of which a request must carry; none for a service open to all who reach it.
        examples: test pictures for the page, or None.
    """
    service = Service(predictor, limits or ServiceLimits(), examples)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="Tinysight",
        summary=f"Classifies pictures with the model {predictor.info.recipe!r}.",
        version=importlib.metadata.version("tinysight"),
        lifespan=lifespan,
        # FastAPI's own pages load scripts from other people's servers; ours is at /docs.
        docs_url=None,
        redoc_url=None,
    )
    app.state.version = service.version
    # Routes are tried in order, and /predict is the busy one.
    app.include_router(_guarded_routes(service), dependencies=_key_check(keys), responses=_key_problems(keys))
    app.include_router(_open_routes(app))
    app.include_router(page_routes())
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    app.add_exception_handler(Exception, _bug)
    app.add_middleware(Measure, metrics=service.metrics)
    app.add_middleware(SafeHeaders)
    app.add_middleware(Linger)
    return app


def _open_routes(app: FastAPI) -> APIRouter:
    router = APIRouter()

    @router.get("/health", response_model=Health, tags=["service"])
    async def health() -> dict[str, str]:
        """Whether the service is up; needs no key."""
        return {"status": "ok"}

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(render_docs(app.openapi()))

    return router


def _guarded_routes(service: Service) -> APIRouter:
    router = APIRouter()
    problems: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": reason} for status, reason in _REASONS.items()
    }
    max_images = service.limits.max_images
    # A default rather than an annotation, as the number of classes is known only here.
    class_index_query = Query(
        ge=0,
        lt=service.predictor.info.num_classes,
        description="Place of the class in `class_names` of /model, counted from 0.",
    )

    @router.post(
        "/predict",
        response_model=Predictions,
        responses=problems,
        openapi_extra={"requestBody": _request_body(max_images)},
        tags=["model"],
    )
    async def predict(
        request: Request, top: Annotated[int, Query(ge=1, le=1000, description="How many classes per image.")] = 3
    ) -> Response:
        """Classifies one or many pictures: PNG, JPEG, WebP, GIF or BMP of any size.

        Send one file as the body, files in the form field `images`, or base64 in JSON. If one picture is bad the whole
        request is refused, and the reason names it by its place, counted from 1.
        """
        return JSONResponse(await service.predict(request, top))

    @router.post(
        "/explain",
        response_model=Explanation,
        responses=problems,
        openapi_extra={"requestBody": _request_body(1)},
        tags=["model"],
    )
    async def explain(request: Request, class_index: int = class_index_query) -> Response:
        """What the model really saw of one picture, and where it looked for a class.

        Patches are covered one after the other, which costs as much as 82 predictions. Forms and reasons as for
        `/predict`.
        """
        return JSONResponse(await service.explain(request, class_index))

    @router.get(
        "/examples",
        response_model=ExamplePictures,
        responses={422: problems[422]},
        tags=["model"],
    )
    async def examples(class_index: int = class_index_query) -> dict[str, Any]:
        """Test pictures of a class with what the run said of them, where the run's data is at hand."""
        return service.examples(class_index)

    @router.get("/model", response_model=Model, tags=["model"])
    async def model() -> dict[str, Any]:
        """Classes, input size, origin and limits."""
        return service.describe()

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        tags=["service"],
    )
    async def metrics() -> Response:
        """Figures in Prometheus's text format."""
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def _request_body(max_images: int) -> dict[str, Any]:
    def listed(**item: str | int) -> dict[str, Any]:
        return {
            "type": "object",
            "required": [FIELD],
            "additionalProperties": False,
            "properties": {
                FIELD: {"type": "array", "minItems": 1, "maxItems": max_images, "items": {"type": "string", **item}}
            },
        }

    file = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": listed(format="binary", minLength=1)},
            "application/json": {"schema": listed(contentEncoding="base64", minLength=4)},
            "application/octet-stream": file,
            "image/*": file,
        },
    }


def _key_check(keys: Sequence[str]) -> list[Any]:
    if not keys:
        return []

    async def check(request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not is_known(key, keys):
            raise HTTPException(
                401,
                "no known API key came; send 'Authorization: Bearer KEY'",
                headers={"WWW-Authenticate": "Bearer"},
            )

    # FastAPI's own reader of the header is there for the documents; it lets everybody in.
    documented = HTTPBearer(auto_error=False, description="A key from the service's key file.")
    return [Depends(documented), Depends(check)]


def _key_problems(keys: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    return {401: {"model": Problem, "description": "The API key is missing or not known."}} if keys else {}


async def _wrong_parameter(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's list of findings as one line, like every other reason."""
    assert isinstance(error, RequestValidationError)
    findings = [f"{finding['loc'][-1]}: {finding['msg']}" for finding in error.errors()]
    return JSONResponse({"detail": "; ".join(findings)}, status_code=422)


async def _bug(_: Request, __: Exception) -> JSONResponse:
    """The client learns that it was not its fault, and nothing else; the server's log has the traceback."""
    return JSONResponse({"detail": "the service has a fault; its log says more"}, status_code=500)
