"""What all processes that run the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that is the same in all processes that run the tests; each has its own in a common one."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
