from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tinysight.native_output import without_native_stderr


def test_only_what_is_printed_within_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with without_native_stderr():
        os.write(2, b"within\n")
        with without_native_stderr():
            os.write(2, b"further within\n")
        os.write(2, b"within again\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_errors_come_through_and_end_the_silence(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), without_native_stderr():
        raise KeyError("x")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_nothing_stays_open() -> None:
    before = os.dup(1)
    os.close(before)
    for _ in range(3):
        with without_native_stderr():
            pass
    after = os.dup(1)
    os.close(after)
    assert after == before


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are numbered otherwise there")
def test_without_a_console() -> None:
    script = (
        "import os, sys\nos.close(2); sys.stderr = None\n"
        "from tinysight.native_output import without_native_stderr\n"
        "with without_native_stderr():\n    print('ran')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (0, "ran\n")
