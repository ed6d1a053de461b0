"""Whole programs: time, memory, output and failure, with real processes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tinysight.benchmarks.processes import run_process
from tinysight.benchmarks.spread import gigabytes, in_words, peak, spread
from tinysight.errors import TrainingStoppedError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_program_prints() -> None:
    done = run_process(python("import json, os; print('epoch 1'); print(json.dumps(os.environ['KERAS_BACKEND']))"))
    assert done.last_line() == "tensorflow"
    assert done.seconds > 0
    assert run_process(python("print('{\\n \"a\": [1]\\n}')")).value() == {"a": [1]}


def test_a_program_that_fails_is_named_with_its_reason() -> None:
    with pytest.raises(TrainingStoppedError) as caught:
        run_process(python("import sys; sys.exit('tinysight: no such recipe')"))
    assert str(caught.value).endswith("ended with status 1: tinysight: no such recipe")
    assert sys.executable not in str(caught.value)
    with pytest.raises(TrainingStoppedError, match="status 3: it said nothing"):
        run_process(python("raise SystemExit(3)"))


@pytest.mark.skipif(sys.platform == "win32", reason="no wait4")
def test_peak_memory_is_that_of_the_program_alone() -> None:
    """In a process of its own, as this one may have held much, of which a child's figure could not be told apart."""
    code = (
        "import json, sys\n"
        "from tinysight.benchmarks.processes import run_process\n"
        "fill = 'x = bytes(range(256)) * ({} // 256)'\n"
        "run = lambda size: run_process([sys.executable, '-c', fill.format(size)]).peak_bytes\n"
        "first = run(300_000_000)\n"
        "held = bytes(range(256)) * 500_000\n"
        "print(json.dumps([first, run(1), run(300_000_000)]))\n"
    )
    # Begun by a shell, which holds little: what this process holds would count as held by one that it begins itself.
    command = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    large, unknown, again = json.loads(done.stdout)
    assert 3.0e8 < large < 3.6e8
    # 128 MB held by the parent would be counted as the small program's own.
    assert unknown is None
    assert 3.0e8 < again < 3.6e8


def test_spread() -> None:
    figures = spread([3.0, 1.0, 8.0])
    assert figures == {"median": 3.0, "mean": 4.0, "min": 1.0, "max": 8.0, "values": [3.0, 1.0, 8.0]}
    assert in_words(figures, "{:.1f} s") == "3.0 s (1.0 s to 8.0 s)"
    assert in_words(figures, "{:.0%}", "mean") == "400% (100% to 800%)"
    assert (peak([5, 7]), peak([5, None])) == (7, None)
    assert (gigabytes(1_240_000_000), gigabytes(None)) == ("1.24 GB", "not told")
