"""benchmarks/fuzz_service.py with fewer pictures: no fault, and memory that stays."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

COMMAND = Path(__file__).parents[2] / "benchmarks" / "fuzz_service.py"
NUM_PICTURES = 1500


def test_damaged_pictures_do_no_harm(tmp_path: Path) -> None:
    command = [sys.executable, str(COMMAND), "--num", str(NUM_PICTURES), "--keep", str(tmp_path / "kept"), "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["faults"] == {}
    assert list((tmp_path / "kept").iterdir()) == []
    assert set(result["statuses"]) == {"200", "422"}
    assert sum(result["statuses"].values()) == result["num"] == NUM_PICTURES
    assert min(result["statuses"].values()) > NUM_PICTURES // 10
    assert len(result["memory"]) == 10


def test_freed_memory_goes_back_to_the_system() -> None:
    """Blocks of 2 MB, freed from the oldest to the newest but one, which keeps the heap's end in use."""
    script = """
import sys
from tinysight.memory import give_back_large_blocks
assert give_back_large_blocks() is (sys.argv[1] == "glibc")
if sys.platform == "linux":
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    before = resident()
    for _ in range(3):
        blocks = [bytearray(b"x") * 2**21 for _ in range(50)]
        del blocks[:-1]
        assert resident() - before < 20e6, resident() - before
"""
    libc = platform.libc_ver()[0]
    done = subprocess.run([sys.executable, "-c", script, libc], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
