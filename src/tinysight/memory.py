"""Memory that a process holds without need goes back to the system; Linux only, elsewhere nothing happens.

Sources: mallopt(3), malloc_trim(3), madvise(2) and proc_pid_smaps(5) of the Linux man-pages project.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# Of glibc's malloc.h; setting it also ends glibc's habit of raising it to the largest block that was ever freed.
_M_MMAP_THRESHOLD = -3
_MEGABYTE = 1024 * 1024
_THRESHOLD = _MEGABYTE
# MADV_DONTNEED, on every architecture that TensorFlow is built for.
_DONTNEED = 4
# Mappings that are smaller are not worth a call, bytes.
_SMALLEST = _MEGABYTE
# Blocks in which free memory of TensorFlow's is given back: most of what a training leaves lies in larger pieces.
_POOL_BLOCK = 4 * _MEGABYTE
# Resident memory below which nothing is given back: a training on CIFAR-10 with a small net holds 0.6 GB.
_LITTLE = 700_000_000
# What `reserve_pool` reserved in this process, bytes.
_reserved: list[int] = []
# Address range, permissions, offset, device, inode and file of a shared library.
_LIBRARY = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ \S+ [1-9]\d* +/.*\.so[.\d]*$")


def give_back_large_blocks() -> bool:
    """Lets blocks of a megabyte and more be mapped one by one, so that freeing them gives them back at once.

    By default glibc raises that size, up to 32 MB, with what is freed; pictures of many sizes then leave holes in its
    heaps that are never given back. Over 20,000 damaged pictures 109 MB grew to 274 MB, and with this 105 to 107 MB.

    Returns:
        Whether there is such a setting: with glibc.
    """
    # musl has no such function, and gives large blocks back anyway.
    mallopt = _c_function("mallopt")
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, _THRESHOLD) == 1


def give_back_freed() -> bool:
    """Frees objects that refer to each other and to which nothing else does, and gives back what lies free.

    A process that holds little is left as it is: this takes a tenth of a second.

    Returns:
        Whether there was something to do and such a call: with glibc.
    """
    if not _holds_much():
        return False
    gc.collect()
    give_back_pool()
    _give_back_heap()
    return True


def give_back_heap() -> bool:
    """`give_back_freed` in the middle of a training, whose next step wants TensorFlow's pool again.

    With `cifar10-94`, 0.09 GB of tracing the step and optimising its graph, and 0.07 GB of an epoch's checkpoint; in a
    twentieth of a second.

    Returns:
        As `give_back_freed`.
    """
    if not _holds_much():
        return False
    _give_back_heap()
    return True


def _holds_much() -> bool:
    return _c_function("malloc_trim") is not None and _resident_bytes() >= _LITTLE


def _give_back_heap() -> None:
    _c_function("malloc_trim")(0)
    release_libraries()


def give_back_pool() -> int:
    """Gives back the pages of what lies free in TensorFlow's pool, where this process has imported it.

    TensorFlow with oneDNN takes its tensors on a processor out of a pool that grows and is never given back: 0.37 GB
    were left of a few steps of `cifar10-94`. Blocks that are asked for come out of what is free; their pages are taken
    away, and the blocks returned. Where nothing is free the pool grows by addresses without pages.

    Returns:
        Bytes of the blocks whose pages went.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or _c_function("madvise") is None:
        return 0
    import numpy as np

    page = mmap.PAGESIZE
    blocks, released = [], 0
    with tensorflow.device("CPU:0"), contextlib.suppress(tensorflow.errors.ResourceExhaustedError):
        # More than all that is resident cannot lie free.
        for _ in range(_resident_bytes() // _POOL_BLOCK):
            blocks.append(tensorflow.raw_ops.Empty(shape=[_POOL_BLOCK], dtype=tensorflow.uint8, init=False))
            first = np.from_dlpack(blocks[-1]).ctypes.data
            released += _take_pages(-(-first // page) * page, (first + _POOL_BLOCK) // page * page)
    return released


def reserve_pool(num_bytes: int) -> bool:
    """Has TensorFlow's pool grow by `num_bytes` in one piece, before there is much in it.

    By itself it grows by ever larger pieces, and what is free in one does not go together with what is free in another.
    Only addresses are reserved: pages come as they are used. What was reserved before counts.

    Returns:
        Whether this process has imported TensorFlow and it could.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return False
    if num_bytes <= max(_reserved, default=0):
        return True
    with tensorflow.device("CPU:0"), contextlib.suppress(tensorflow.errors.ResourceExhaustedError):
        tensorflow.raw_ops.Empty(shape=[num_bytes // _MEGABYTE, _MEGABYTE], dtype=tensorflow.uint8, init=False)
        _reserved.append(num_bytes)
        return True
    return False


def _take_pages(start: int, end: int) -> int:
    """Takes the pages of an address range out of this process's memory; bytes of the range, or 0 where it cannot."""
    madvise: Any = _c_function("madvise")
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    done: bool = madvise(start, end - start, _DONTNEED) == 0
    return end - start if done else 0


def _resident_bytes() -> int:
    """Memory that this process holds, files that it mapped included; Linux only."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE


def release_libraries(smaps: Path = Path("/proc/self/smaps")) -> int:
    """Takes the pages of shared libraries out of this process's memory; those that it needs again are mapped again.

    Importing TensorFlow touches nearly all of its 400 MB of code and tables, of which a training needs a third. The
    pages come back from the system's cache of the files, without a copy. Only mappings are released that cannot be
    written, are private, and hold nothing but what the file holds.

    Returns:
        Bytes of the mappings that were released; not all of them were resident.
    """
    if _c_function("madvise") is None or not smaps.exists():
        return 0
    lines = smaps.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return sum(_take_pages(start, end) for start, end in _as_on_disk(lines))


def _as_on_disk(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Address ranges of libraries that hold nothing but what their files hold, of the lines of an smaps file."""
    found: tuple[int, int] | None = None
    for line in lines:
        # Fields begin with a capital letter, mappings with a hexadecimal address.
        if not line[:1].isupper():
            mapping = _LIBRARY.match(line)
            is_private = mapping is not None and mapping[3][1] == "-" and mapping[3][3] == "p"
            found = (int(mapping[1], 16), int(mapping[2], 16)) if mapping and is_private else None
        elif line.startswith(("Anonymous:", "Swap:", "Locked:")) and line.split()[1] != "0":
            # Written before it was protected, and nowhere else.
            found = None
        elif line.startswith("VmFlags:") and found and found[1] - found[0] >= _SMALLEST:
            yield found


def _c_function(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
