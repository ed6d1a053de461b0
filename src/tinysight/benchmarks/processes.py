"""Whole programs as processes: wall time, peak memory and what they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from tinysight.errors import TrainingStoppedError

# TensorFlow on the processor: the same for both sides.
SAME_FOR_BOTH = {
    "KERAS_BACKEND": "tensorflow",
    "CUDA_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONIOENCODING": "utf-8",
}


@dataclass(frozen=True, kw_only=True)
class Done:
    """A program that ended well.

    Attributes:
        seconds: wall time from start to exit, imports and compilation included.
        peak_bytes: largest resident size; None where the platform does not tell.
        printed: what it wrote on stdout.
    """

    seconds: float
    peak_bytes: int | None
    printed: str

    def value(self) -> Any:
        """The JSON value that is all it printed."""
        return json.loads(self.printed)

    def last_line(self) -> Any:
        """The JSON value in the last line that it printed."""
        return json.loads(self.printed.rstrip().rpartition("\n")[2])


def run_process(command: Sequence[str]) -> Done:
    """Runs a program to its end.

    Raises:
        TrainingStoppedError: when it fails; the text ends with the last line that it wrote on stderr.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment())
        try:
            peak = _wait(process)
            seconds = time.perf_counter() - started
        except BaseException:
            process.kill()
            process.wait()
            raise
        printed, complaints = _text(output), _text(errors)
    if process.returncode:
        reason = complaints.rstrip().rpartition("\n")[2] or "it said nothing"
        raise TrainingStoppedError(f"`{_words(command)}` ended with status {process.returncode}: {reason}")
    return Done(seconds=seconds, peak_bytes=peak, printed=printed)


def environment() -> dict[str, str]:
    """This process's environment, with one backend and one device for both sides."""
    # Without bytecode files every import is compiled anew, for several seconds.
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **SAME_FOR_BOTH}


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """Waits for the end; returns the peak memory of that process alone, bytes."""
    if not hasattr(os, "wait4"):
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = _in_bytes(usage.ru_maxrss)
    # On Linux a new process counts what its parent held when it began: a lower peak cannot be told from that.
    return peak if peak > own_peak() else None


def own_peak() -> int:
    """The largest resident size of this process so far, bytes."""
    import resource

    return _in_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _in_bytes(max_resident: int) -> int:
    return max_resident if sys.platform == "darwin" else max_resident * 1024


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", errors="replace")


def _words(command: Sequence[str]) -> str:
    """The command without the interpreter's path."""
    return " ".join(["python" if word == sys.executable else word for word in command])
