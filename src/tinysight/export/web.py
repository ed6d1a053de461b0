"""A run as a folder of static files that classifies in the browser: the page, the model, ONNX Runtime for the web.

The page is the service's own; only its `engine.js` is another one. docs/web.md says what the folder holds and why.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tinysight.errors import ModelError, RunError
from tinysight.files import digest, write_bytes, write_json, write_text
from tinysight.runs import Run
from tinysight.serving.model_info import ModelInfo

_PACKAGE = Path(__file__).parents[1]
_PAGE = _PACKAGE / "serving" / "page"
_ENGINE = _PACKAGE / "export" / "web_page"
_RUNTIME = _PACKAGE / "export" / "web_runtime"

# Files of the npm package onnxruntime-web 1.23.2 -> their names in the folder. Some hosts do not know what `.mjs` is,
# and a browser runs no module of unknown kind. The second is the package's .wasm, packed by `gzip -9n`.
RUNTIME_VERSION = "1.23.2"
RUNTIME_FILES = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.wasm.packed": "ort-wasm-simd-threaded.wasm.packed",
    "LICENSE": "LICENSE.txt",
    "ThirdPartyNotices.txt": "ThirdPartyNotices.txt",
}
# The folder without the model, in bytes; a test holds it to this.
SIZE_BUDGET = 4_000_000
_NOT_KEPT_OFFLINE = ("runtime/LICENSE.txt", "runtime/ThirdPartyNotices.txt", "offline.js")


def write_web(run: Run, folder: Path) -> Path:
    """Writes the folder: `index.html` at any static host's place shows the page.

    Args:
        run: a finished run with its ONNX model.
        folder: where the files go; absent or empty.

    Returns:
        The page, `index.html` in the folder.

    Raises:
        ModelError: when the run has no usable ONNX model.
        RunError: when something lies in the folder already.
    """
    from tinysight.serving.predictor import Predictor

    if not run.onnx_model.is_file():
        raise ModelError(f"the run '{run.folder}' has no {run.onnx_model.name}, which the page needs: train it again")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists already; expected a folder that is absent or empty")
    info = Predictor(run.onnx_model).info
    # The second replaces the page's engine.
    for file in [*_PAGE.glob("[!.]*.*"), *_ENGINE.glob("*.js")]:
        write_bytes(folder / file.name, file.read_bytes())
    for name, target in RUNTIME_FILES.items():
        write_bytes(folder / "runtime" / target, (_RUNTIME / name).read_bytes())
    write_bytes(folder / "model.onnx", run.onnx_model.read_bytes())
    write_json(folder / "model.json", _description(info, digest(run.onnx_model)[:12]))
    _list_files(folder)
    return folder / "index.html"


def _description(info: ModelInfo, version: str) -> dict[str, object]:
    """What the service answers to `GET /model`, as far as the page reads it."""
    return {
        "model": info.recipe,
        "version": version,
        "class_names": list(info.class_names),
        "image_shape": list(info.image_shape),
        "num_views": info.num_views,
        "created": info.created,
        "package_version": info.version,
        "extra": info.extra,
    }


def _list_files(folder: Path) -> None:
    """Tells the service worker which files there are, and a digest of them, by which a browser sees a change."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    kept = [name for name in names if name not in _NOT_KEPT_OFFLINE]
    version = hashlib.sha256("".join(digest(folder / name) for name in kept).encode()).hexdigest()[:16]
    script = (folder / "offline.js").read_text(encoding="utf-8")
    # A host answers the folder's own address with index.html.
    script = script.replace("@VERSION@", version).replace('["@FILES@"]', json.dumps(["./", *kept], indent=2))
    write_text(folder / "offline.js", script)
