from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from misbehaving_server import Server
from public_layouts import cifar_entry, cifar_file, remote, small_cifar, small_idx, tar_gz

from tinysight.data.catalog import default_data, fetch, load
from tinysight.data.entries import CATALOG, Entry
from tinysight.data.install import extract
from tinysight.errors import DataError, DataUnavailableError

FOLDER = "cifar-10-batches-bin"
UseEntry = Callable[[Entry], None]


def archive(files: dict[str, bytes] | None = None) -> bytes:
    return tar_gz({f"{FOLDER}/{name}": content for name, content in (files or small_cifar()).items()})


def leftovers(cache: Path) -> list[str]:
    """What lies in the cache beside the locks."""
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.suffix != ".lock")


def serve(server: Server, content: bytes, behaviour: str = "good") -> Entry:
    return cifar_entry(remote("cifar.tar.gz", content, server.put("/cifar.tar.gz", content, behaviour)))


def test_an_archive_becomes_a_folder_in_the_cache(server: Server, cache: Path, use_entry: UseEntry) -> None:
    use_entry(serve(server, archive()))
    data = load("cifar10")
    assert (len(data.train), len(data.test)) == (50, 10)
    assert data.origin == f"{cache / FOLDER} (checksums verified when fetched)"
    assert leftovers(cache) == sorted([FOLDER, *(f"{FOLDER}/{name}" for name in small_cifar())])
    assert fetch("cifar10")[1] is False
    load("cifar10")
    assert len(server.requests) == 1


def test_four_files_become_a_folder_in_the_cache(server: Server, cache: Path, use_entry: UseEntry) -> None:
    files = small_idx()
    remotes = tuple(remote(name, content, server.put(f"/{name}", content)) for name, content in files.items())
    use_entry(replace(CATALOG["mnist"], num_train=50, num_test=10, files=remotes))
    assert len(load("mnist").train) == 50
    assert leftovers(cache) == sorted(["mnist", *(f"mnist/{name}" for name in files)])


def test_one_missing_file_of_four_leaves_no_folder(server: Server, cache: Path, use_entry: UseEntry) -> None:
    remotes = [remote(name, content, server.put(f"/{name}", content)) for name, content in small_idx().items()]
    server.behaviour["/t10k-labels-idx1-ubyte.gz"] = "404"
    use_entry(replace(CATALOG["mnist"], num_train=50, num_test=10, files=tuple(remotes)))
    with pytest.raises(DataUnavailableError, match=r"cannot download t10k-labels.* `tinysight data fetch mnist`"):
        load("mnist")
    assert not (cache / "mnist").exists()
    server.behaviour["/t10k-labels-idx1-ubyte.gz"] = "good"
    assert len(load("mnist").test) == 10
    assert [path for path, _ in server.requests].count("/train-images-idx3-ubyte.gz") == 1


def test_a_damaged_copy_in_the_cache_is_replaced(
    server: Server, cache: Path, use_entry: UseEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    use_entry(serve(server, archive()))
    fetch("cifar10")
    (cache / FOLDER / "data_batch_2.bin").write_bytes(b"short")
    with pytest.raises(DataError, match=r"data_batch_2\.bin has 5 bytes"):
        load("cifar10")
    assert fetch("cifar10")[1] is True
    assert "is damaged and is replaced" in capsys.readouterr().err
    assert len(load("cifar10").train) == 50
    assert len(leftovers(cache)) == 7


BAD_DATA = {
    "label outside": ({"test_batch.bin": b"\x0b" + cifar_file(10)[1:]}, "gives image 0 the label 11; expected 0 to 9"),
    "short file": ({"test_batch.bin": cifar_file(9)}, "has 27657 bytes; expected 30730"),
    "long file": ({"test_batch.bin": cifar_file(11)}, "has 33803 bytes; expected 30730"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_in_a_right_archive_is_not_kept(server: Server, cache: Path, use_entry: UseEntry, case: str) -> None:
    change, message = BAD_DATA[case]
    use_entry(serve(server, archive(small_cifar() | change)))
    with pytest.raises(DataError, match=message):
        load("cifar10")
    assert leftovers(cache) == []


def test_an_archive_without_the_folder(server: Server, cache: Path, use_entry: UseEntry) -> None:
    use_entry(serve(server, tar_gz({"readme": b"hello"})))
    with pytest.raises(DataError, match=r"data_batch_1\.bin"):
        load("cifar10")
    assert leftovers(cache) == []


@pytest.mark.parametrize("content", [b"no archive", archive()[:-2000]], ids=["no archive", "truncated"])
def test_a_damaged_archive(server: Server, cache: Path, use_entry: UseEntry, content: bytes) -> None:
    use_entry(serve(server, content))
    with pytest.raises(DataError, match=r"cifar\.tar\.gz is damaged"):
        load("cifar10")
    assert leftovers(cache) == []


@pytest.mark.parametrize("name", ["../escape", "/escape", f"{FOLDER}/../../escape", "a\\..\\..\\escape", "C:\\escape"])
def test_a_path_that_leaves_the_folder_is_refused(
    server: Server, cache: Path, use_entry: UseEntry, name: str, tmp_path: Path
) -> None:
    use_entry(serve(server, tar_gz({f"{FOLDER}/data_batch_1.bin": b"x", name: b"escaped"})))
    with pytest.raises(DataError, match=r"refused: '.*escape' leaves its folder"):
        load("cifar10")
    assert leftovers(cache) == []
    assert not list(tmp_path.rglob("*escape*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("inside")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="'inside' is a link or a device"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out" / "inside").exists()


def test_a_full_disk_while_unpacking_leaves_nothing(
    server: Server, cache: Path, use_entry: UseEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    use_entry(serve(server, archive()))
    monkeypatch.setattr("tinysight.data.install.shutil.copyfileobj", fail)
    with pytest.raises(DataError, match=r"no room for cifar10 in the cache .*No space left.*TINYSIGHT_CACHE"):
        load("cifar10")
    assert leftovers(cache) == []


def test_a_cache_that_cannot_be_made(server: Server, use_entry: UseEntry, cache: Path) -> None:
    use_entry(serve(server, archive()))
    cache.parent.write_text("a file where the cache should be")
    with pytest.raises(DataUnavailableError, match="cannot write cifar10 to the cache"):
        load("cifar10")
    data, note = default_data()
    assert data.name == "mnist-5k"
    assert note is not None


DRIVER = """
import sys
from public_layouts import cifar_entry, remote
from tinysight.cli.main import main
from tinysight.data.entries import CATALOG
{prepare}
CATALOG["cifar10"] = cifar_entry(remote("cifar.tar.gz", open(sys.argv[1], "rb").read(), sys.argv[2]))
main(["data", "fetch", "cifar10", "--json"])
"""


def start_fetch(tmp_path: Path, server: Server, prepare: str = "") -> subprocess.Popen[str]:
    """`tinysight data fetch cifar10` in a process of its own, with the catalogue pointing at the server."""
    content = archive()
    (tmp_path / "served").write_bytes(content)
    url = server.put("/cifar.tar.gz", content)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(prepare=prepare), str(tmp_path / "served"), url],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_download_once(server: Server, cache: Path, tmp_path: Path) -> None:
    processes = [start_fetch(tmp_path, server) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    records = [json.loads(out) for out, _ in outputs]
    assert sorted(record["downloaded"] for record in records) == [False, True]
    assert {record["path"] for record in records} == {str(cache / FOLDER)}
    assert len(server.requests) == 1
    assert len(leftovers(cache)) == 7


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes")
def test_a_file_that_does_not_fit_is_one_line(server: Server, cache: Path, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    process = start_fetch(tmp_path, server, limit)
    out, words = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert words.splitlines()[-1].startswith("tinysight: no room for cifar10 in the cache")
    assert "Traceback" not in words
    assert leftovers(cache) == []
