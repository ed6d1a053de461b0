"""Files are whole or absent."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from pathlib import Path

import pytest

from tinysight.errors import TinysightError
from tinysight.files import atomic_path, digest, read_json, write_bytes, write_json, write_text


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    path = write_text(tmp_path / "new" / "é.txt", "ä\nb\n")
    assert path.read_bytes() == b"\xc3\xa4\nb\n"


def test_json_round_trip(tmp_path: Path) -> None:
    value = {"name": "Käfer", "figures": [1, 2.5, None, True]}
    path = write_json(tmp_path / "a.json", value)
    assert read_json(path) == value
    assert "Käfer" in path.read_text(encoding="utf-8")


def test_names_that_are_no_utf8_come_back_from_json(tmp_path: Path) -> None:
    """As Linux gives them: the byte e9 as a surrogate."""
    path = write_json(tmp_path / "a.json", ["caf\udce9.png"])
    assert path.read_bytes() == b'[\n  "caf\\udce9.png"\n]\n'
    assert read_json(path) == ["caf\udce9.png"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_json_has_not(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": value})
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "old")

    def fail_halfway() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("ha", encoding="utf-8")
            assert temporary.parent == path.parent
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_the_temporary_file_has_the_ending_that_libraries_look_at(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "model.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
    assert (tmp_path / "model.weights.h5").is_file()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_in_one_line(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(TinysightError, match=r"the disk is full: .*a\.bin was not written"),
        atomic_path(tmp_path / "a.bin"),
    ):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_numpy_on_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    import subprocess

    text = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from tinysight.errors import DiskFullError
from tinysight.files import atomic_path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with atomic_path(Path(sys.argv[1])) as temporary:
        np.save(temporary, np.zeros(1_000_000, np.uint8))
except DiskFullError as error:
    print(error)
"""
    words = [sys.executable, "-c", text, str(tmp_path / "a.npy")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "a.npy was not written" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_other_faults_of_the_system_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a.bin"):
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.skipif(sys.platform == "win32", reason="no permission bits")
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    written = write_bytes(tmp_path / "written", b"")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_digest(tmp_path: Path) -> None:
    path = write_bytes(tmp_path / "a", b"abc")
    assert digest(path) == hashlib.sha256(b"abc").hexdigest()
    assert digest(path, "md5") == "900150983cd24fb0d6963f7d28e17f72"
