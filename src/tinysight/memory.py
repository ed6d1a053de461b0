"""Memory that a process holds without need goes back to the system; Linux only, elsewhere nothing happens.

Sources: mallopt(3), malloc_trim(3), madvise(2) and proc_pid_smaps(5) of the Linux man-pages project.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# Of glibc's malloc.h; setting it also ends glibc's habit of raising it to the largest block that was ever freed.
_M_MMAP_THRESHOLD = -3
_THRESHOLD = 1024 * 1024
# MADV_DONTNEED, on every architecture that TensorFlow is built for.
_DONTNEED = 4
# Mappings that are smaller are not worth a call, bytes.
_SMALLEST = 1024 * 1024
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

    Returns:
        Whether there is such a call: with glibc.
    """
    gc.collect()
    trim = _c_function("malloc_trim")
    if trim is not None:
        trim(0)
    return trim is not None


def release_libraries(smaps: Path = Path("/proc/self/smaps")) -> int:
    """Takes the pages of shared libraries out of this process's memory; those that it needs again are mapped again.

    Importing TensorFlow touches nearly all of its 400 MB of code and tables, of which a training needs a third. The
    pages come back from the system's cache of the files, without a copy. Only mappings are released that cannot be
    written, are private, and hold nothing but what the file holds.

    Returns:
        Bytes of the mappings that were released; not all of them were resident.
    """
    madvise = _c_function("madvise")
    if madvise is None or not smaps.exists():
        return 0
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    lines = smaps.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return sum(end - start for start, end in _as_on_disk(lines) if madvise(start, end - start, _DONTNEED) == 0)


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
