"""What deploy/ promises, as far as it can be checked without a container and without systemd running."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from onnx_models import make_info, write_model

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

SERVES = """
import importlib.metadata, io, json, sys
import numpy as np
from PIL import Image
from fastapi.testclient import TestClient
from tinysight.runs import Run
from tinysight.serving.app import create_app
from tinysight.serving.examples import read_examples
from tinysight.serving.predictor import Predictor
import tinysight.serving.server, tinysight.verbs.serve

buffer = io.BytesIO()
Image.new("RGB", (9, 9)).save(buffer, "PNG")
read_examples(Run(sys.argv[2]))
with TestClient(create_app(Predictor(sys.argv[1]))) as client:
    for path in ("/predict", "/explain?class_index=1"):
        assert client.post(path, content=buffer.getvalue(), headers={"Content-Type": "image/png"}).status_code == 200
    for path in ("/", "/docs", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 200
found = importlib.metadata.packages_distributions()
names = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted({owner for name in names for owner in found.get(name, [])})))
"""


def required() -> list[str]:
    lines = (DEPLOY / "service-requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def with_dependencies(names: list[str]) -> set[str]:
    """Names and what they need themselves, without extras."""
    found: set[str] = set()
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            if "extra ==" not in line and _is_installed(needed := re.split(r"[^\w.-]", line)[0]):
                names.append(needed)
    return found


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_the_service_needs_no_other_packages(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.onnx", make_info())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "data.json").write_text('{"name": "cifar10", "class_names": []}', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SERVES, str(model), str(tmp_path / "run")], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    loaded = {re.sub(r"[-_.]+", "-", name).lower() for name in json.loads(done.stdout)}
    # The client of this test, and what it brings; httpx loads rich where it finds it.
    allowed = with_dependencies(required()) | with_dependencies(["httpx", "rich"]) | {"tinysight", "setuptools"}
    assert {"onnxruntime", "fastapi"} <= loaded
    assert loaded <= allowed, loaded - allowed


def test_every_requirement_is_pinned() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    assert set(required()) <= set(pinned)


def test_container_copies_what_there_is() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M) for word in line.split()]
    assert "src" in copied
    assert [word for word in copied if not (ROOT / word).exists()] == []
    # Else the wheel is not built.
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    needed = [*packed["wheel"]["packages"], *packed["wheel"]["force-include"]]
    assert len(needed) >= 2
    for path in needed:
        assert any(Path(path).is_relative_to(word) for word in copied), path
    assert re.search(r"^USER (?!0\b)\d+", text, re.M)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_unit_is_understood(tmp_path: Path) -> None:
    # The command must exist for the check.
    text = (DEPLOY / "tinysight.service").read_text(encoding="utf-8")
    unit = tmp_path / "tinysight.service"
    unit.write_text(text.replace("/opt/tinysight/bin/tinysight", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
