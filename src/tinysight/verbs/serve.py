"""`tinysight serve`: a run as an HTTP service."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinysight.runs import open_run
from tinysight.serving.limits import ServiceLimits

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


def serve(
    model_path: str | Path,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    limits: ServiceLimits | None = None,
    api_key_file: str | Path | None = None,
    on_ready: Callable[[dict[str, Any]], None] = lambda record: None,
) -> None:
    """Serves until SIGTERM or Ctrl-C; requests that are inside are answered first.

    Args:
        model_path: a run folder, or an ONNX file that Tinysight wrote.
        host: name or address to listen on; others than this machine reach it only when it is not loopback.
        port: 0 for any that is free.
        limits: what requests may cost; the defaults when None.
        api_key_file: a text file with a key a line, one of which every request must carry; None for none.
        on_ready: called once, when requests are answered, with `url`, `model`, `version` and `warning` (or None).

    Raises:
        RunError, ModelError: when `model_path` holds no usable model.
        InvalidValueError: when host, port or key file cannot be used.
    """
    from tinysight.memory import give_back_large_blocks
    from tinysight.serving.keys import read_keys
    from tinysight.serving.predictor import load_predictor

    give_back_large_blocks()
    # Pillow warns about odd but readable metadata; that is the client's affair, not the log's.
    warnings.filterwarnings("ignore", module="PIL")
    limits = limits or ServiceLimits()
    keys = read_keys(api_key_file) if api_key_file is not None else ()
    predictor = load_predictor(model_path)

    # Mistakes above are answered before these take their second to load.
    from tinysight.serving.app import create_app
    from tinysight.serving.examples import Examples
    from tinysight.serving.server import bind, is_loopback, run_until_stopped, url_of

    examples = Examples(open_run(model_path)) if Path(model_path).is_dir() else None
    app = create_app(predictor, limits, keys, examples)
    with bind(host, port) as listener:
        warning = None
        if not keys and not is_loopback(listener):
            warning = "other machines can reach this service, and it asks for no key: give --api-key-file"
        record = {
            "url": url_of(listener),
            "model": predictor.info.recipe,
            "version": app.state.version,
            "warning": warning,
        }
        run_until_stopped(app, listener, limits, lambda: on_ready(record))
