"""`tinysight serve RUN`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tinysight.cli.common import FiniteRange, json_option, print_json, say
from tinysight.serving.limits import ServiceLimits
from tinysight.verbs.serve import DEFAULT_HOST, DEFAULT_PORT
from tinysight.verbs.serve import serve as serve_run

_DEFAULTS = ServiceLimits()
_AT_LEAST_ONE = click.IntRange(min=1)


Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _limit(name: str, kind: click.IntRange | click.FloatRange, text: str) -> Callable[[Decorated], Decorated]:
    return click.option(f"--{name}", type=kind, default=getattr(_DEFAULTS, name.replace("-", "_")), help=text)


@click.command(context_settings={"show_default": True})
@click.argument("run", metavar="RUN")
@click.option("--host", default=DEFAULT_HOST, help="Name or address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, help="0 for any that is free.")
@click.option(
    "--api-key-file", type=click.Path(dir_okay=False), help="Text file, a key a line; requests must carry one of them."
)
@_limit("max-body-bytes", _AT_LEAST_ONE, "Size of a request.")
@_limit("max-pixels", _AT_LEAST_ONE, "Width times height of a picture, checked before it is decoded.")
@_limit("max-images", _AT_LEAST_ONE, "Pictures in one request.")
@_limit("max-queue", _AT_LEAST_ONE, "Requests inside at once; past it 503.")
@_limit("max-seconds", FiniteRange(min=0, min_open=True), "For receiving a request, and again for answering it.")
@json_option
def serve(run: str, host: str, port: int, api_key_file: str | None, as_json: bool, **limits: Any) -> None:
    """Serve a run over HTTP.

    RUN is a run folder, or an .onnx file that tinysight wrote. SIGTERM or Ctrl-C ends it, after the requests that are
    inside are answered. With --json one object with the url is printed once requests are answered.
    """

    def announce(record: dict[str, Any]) -> None:
        if record["warning"]:
            say(f"tinysight: warning: {record['warning']}")
        say(f"Serving {record['model']} on {record['url']} (how to ask: {record['url']}/docs). Ctrl-C ends it.")
        if as_json:
            print_json(record)

    serve_run(run, host=host, port=port, api_key_file=api_key_file, limits=ServiceLimits(**limits), on_ready=announce)
