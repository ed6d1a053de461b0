"""Memory that is given back."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tinysight import memory

MAPPING = "7f0000000000-7f0000400000 {permissions} 00001000 fe:00 260131                     {file}"
FIELDS = """Size:               4096 kB
Rss:                4096 kB
Anonymous:             {anonymous} kB
AnonHugePages:         0 kB
Swap:                  {swap} kB
Locked:                {locked} kB
VmFlags: rd ex mr mw me
"""


@pytest.mark.parametrize(
    ("changed", "is_released"),
    [
        ({}, True),
        ({"permissions": "r--p", "file": "/a folder/with spaces/libx.so.12"}, True),
        ({"permissions": "rw-p"}, False),
        ({"permissions": "r-xs"}, False),
        ({"file": ""}, False),
        ({"file": "/data/images.npy"}, False),
        # Written before it was protected; the second where it was swapped out since.
        ({"anonymous": 4}, False),
        ({"swap": 4}, False),
        ({"locked": 4}, False),
    ],
)
def test_only_what_the_file_holds_is_released(changed: dict[str, object], is_released: bool) -> None:
    values = {"permissions": "r-xp", "file": "/lib/libx.so", "anonymous": 0, "swap": 0, "locked": 0, **changed}
    text = f"{MAPPING}\n{FIELDS}".format(**values)
    expected = [(0x7F0000000000, 0x7F0000400000)] if is_released else []
    assert list(memory._as_on_disk(text.splitlines())) == expected
    # Neither before nor behind others does it count for them.
    other = f"{MAPPING}\n{FIELDS}".format(permissions="rw-p", file="[heap]", anonymous=4, swap=0, locked=0)
    assert list(memory._as_on_disk((other + text + other).splitlines())) == expected


def test_small_libraries_are_left() -> None:
    text = MAPPING.replace("7f0000400000", "7f0000080000").format(permissions="r-xp", file="/lib/libx.so")
    assert list(memory._as_on_disk(f"{text}\n{FIELDS.format(anonymous=0, swap=0, locked=0)}".splitlines())) == []


def told_by(program: str) -> dict[str, Any]:
    """What a program in a process of its own prints as JSON."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


PROGRAM = r"""
import json, re
from pathlib import Path
import numpy as np
from tinysight.memory import release_libraries

def pages():
    return int(re.search(r"RssFile:\s+(\d+)", Path("/proc/self/status").read_text())[1])

matrix = np.random.default_rng(0).normal(size=(50, 50))
answer, before = np.linalg.svd(matrix)[1].tolist(), pages()
released, after = release_libraries(), pages()
again = np.linalg.svd(matrix)[1].tolist()
print(json.dumps({"released": released, "before": before, "after": after, "same": again == answer}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system's interface is Linux's")
def test_libraries_are_released_and_work_as_before() -> None:
    found = told_by(PROGRAM)
    assert found["same"]
    assert found["released"] > 2**20
    assert found["after"] < 0.7 * found["before"]


def test_nothing_happens_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert memory.release_libraries(tmp_path / "smaps") == 0
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.release_libraries() == 0
    assert not memory.give_back_freed()
    assert not memory.give_back_heap()
    assert memory.give_back_pool() == 0
    assert not memory.give_back_large_blocks()


@pytest.mark.skipif(sys.platform != "linux", reason="the system's interface is Linux's")
def test_a_process_that_holds_little_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(memory, "give_back_pool", lambda: done.append("pool"))
    monkeypatch.setattr(memory, "release_libraries", lambda: done.append("libraries"))
    monkeypatch.setattr(memory, "_LITTLE", 1 << 50)
    assert not memory.give_back_freed()
    assert not memory.give_back_heap()
    assert done == []
    monkeypatch.setattr(memory, "_LITTLE", 1)
    has_call = hasattr(ctypes.CDLL(None), "malloc_trim")
    assert memory.give_back_freed() == has_call
    assert done == ["pool", "libraries"] * has_call
    assert memory.give_back_heap() == has_call
    assert done == ["pool", "libraries", "libraries"][: 3 * has_call]


POOL_PROGRAM = r"""
import json, re
from pathlib import Path
from tinysight.training.backend import choose_backend, own_process
own_process()
choose_backend("cpu")
import numpy as np
import tensorflow as tf
from tinysight.memory import give_back_pool

def megabytes():
    return int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024

ramp = tf.range(1_000_000)
tensors = [ramp + number for number in range(100)]
kept = tensors[::20]
del tensors
before = megabytes()
released, after = give_back_pool(), megabytes()
same = all(np.array_equal(tensor, np.arange(1_000_000) + 20 * place) for place, tensor in enumerate(kept))
works = float(tf.reduce_sum(tf.ones((2000, 2000)))) == 4_000_000
print(json.dumps({"released": released, "before": before, "after": after, "same": same, "works": works}))
"""


RESERVING_PROGRAM = r"""
import json, re
from pathlib import Path
from tinysight.training.backend import choose_backend, own_process
from tinysight.memory import reserve_pool
without = reserve_pool(1_000_000_000)
own_process()
choose_backend("cpu")
import numpy as np
import tensorflow as tf

def megabytes(field="RssAnon"):
    return int(re.search(field + r":\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024

before = megabytes()
has_reserved, after = reserve_pool(1_000_000_000), megabytes()
tensors = [tf.fill([25_000_000], float(number)) for number in range(8)]
# Four fifths of what is reserved are in use, and it is not reserved again.
addresses = megabytes("VmSize")
again = reserve_pool(1_000_000_000) and megabytes("VmSize") == addresses
places = [np.from_dlpack(tensor).ctypes.data for tensor in tensors]
too_much = reserve_pool(1 << 50)
print(json.dumps({
    "without": without, "has_reserved": has_reserved, "more": after - before, "span": max(places) - min(places),
    "too_much": too_much, "again": again,
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system's interface is Linux's")
def test_a_pool_is_reserved_in_one_piece_without_pages() -> None:
    found = told_by(RESERVING_PROGRAM)
    assert not found["without"]
    assert found["has_reserved"]
    assert found["more"] < 100
    # Eight tensors of a hundred megabytes, one behind the other.
    assert found["span"] < 1_000_000_000
    assert not found["too_much"]
    assert found["again"]


@pytest.mark.skipif(sys.platform != "linux", reason="the system's interface is Linux's")
def test_free_tensors_are_given_back_and_no_others() -> None:
    """Of 400 MB a twentieth is still in use."""
    found = told_by(POOL_PROGRAM)
    assert found["same"]
    assert found["works"]
    assert found["released"] > 0
    # Where TensorFlow has no pool (without oneDNN), what was freed went back by itself.
    assert found["after"] < min(found["before"] + 20, 400)


def test_there_is_no_pool_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert memory.give_back_pool() == 0
