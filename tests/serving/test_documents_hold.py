"""The service keeps what /openapi.json says of it, whatever a machine makes up from the documents alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from onnx_models import write_model
from running import running

HERE = Path(__file__).parent
KEY = "a-key-of-the-test"
CHECKS_PER_OPERATION = 25


def test_whatever_a_machine_makes_of_the_documents(tmp_path: Path) -> None:
    """schemathesis: statuses, types and answers as documented, bad input refused, good accepted, keys needed."""
    model = write_model(tmp_path / "model.onnx")
    (tmp_path / "keys").write_text(f"{KEY}\n", encoding="utf-8")
    with running(model, "--max-images", 8, "--max-body-bytes", 200_000, "--api-key-file", tmp_path / "keys") as service:
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run"]
        command += [f"{service.url}/openapi.json", "--header", f"Authorization: Bearer {KEY}", "--no-color"]
        command += ["--seed", "1", "--max-examples", str(CHECKS_PER_OPERATION), "--continue-on-failure"]
        paths = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
        surroundings = {**os.environ, "PYTHONPATH": paths, "SCHEMATHESIS_HOOKS": "documented_pictures"}
        done = subprocess.run(
            list(map(str, command)), cwd=tmp_path, env=surroundings, capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Operations:       6 selected / 6 total" in done.stdout
        count = re.search(r"(\d+) generated, \1 passed", done.stdout)
        assert count is not None, done.stdout
        assert int(count[1]) > 150
        # Real pictures came through, in forms as well as alone, and not only refusals.
        for path in ("/predict", "/explain"):
            for status in ("200", "401", "422"):
                name = f'tinysight_requests_total{{path="{path}",status="{status}"}}'
                assert service.metric(name, KEY) > 1
