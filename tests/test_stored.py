from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tinysight import stored
from tinysight.errors import DataError
from tinysight.images import ImageSet
from tinysight.stored import StoredImages, StoredNames, open_rows

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 9, 7, 3), np.uint8)


@pytest.fixture(params=["fits", "larger than memory"])
def images(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredImages:
    PIXELS.tofile(tmp_path / "images.u8")
    if request.param == "larger than memory":
        monkeypatch.setattr(stored, "_memory_bytes", lambda: 1000)
    return open_rows(tmp_path / "images.u8", PIXELS.shape)


def test_it_is_used_like_an_array(images: StoredImages) -> None:
    rows = np.array([7, 3, 49, 3])
    np.testing.assert_array_equal(images[rows], PIXELS[rows])
    np.testing.assert_array_equal(images[5:9], PIXELS[5:9])
    np.testing.assert_array_equal(images[-1], PIXELS[-1])
    np.testing.assert_array_equal(images[:10, :, ::-1, 0], PIXELS[:10, :, ::-1, 0])
    np.testing.assert_array_equal(np.asarray(images), PIXELS)
    np.testing.assert_array_equal(np.stack(list(images)), PIXELS)
    assert np.asarray(images, np.float32).dtype == np.float32
    assert (images.shape, images.dtype, images.ndim, len(images)) == (PIXELS.shape, np.uint8, 4, 50)
    assert images.nbytes == PIXELS.nbytes
    with pytest.raises(ValueError, match="without a copy"):
        np.array(images, copy=False)


def test_what_is_read_may_be_changed(images: StoredImages) -> None:
    for index in (3, slice(0, 5), np.array([1, 2])):
        read = images[index]
        read += 1
    np.testing.assert_array_equal(np.asarray(images), PIXELS)


def test_selections_stay_on_disk(images: StoredImages) -> None:
    chosen = images.select(np.array([9, 8, 40])).select([2, 0])
    assert isinstance(chosen, StoredImages)
    np.testing.assert_array_equal(np.asarray(chosen), PIXELS[[40, 9]])
    assert np.shares_memory(chosen.pixels, images.pixels)


def test_another_process_opens_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "pixels").write_bytes(PIXELS.tobytes())
    sent = pickle.dumps(open_rows(tmp_path / "pixels", PIXELS.shape).select([7, 3]))
    assert len(sent) < 1000
    np.testing.assert_array_equal(np.asarray(pickle.loads(sent)), PIXELS[[7, 3]])
    (tmp_path / "pixels").unlink()
    with pytest.raises(DataError, match=r"^no images at .*pixels on .*: expected a folder that every machine sees$"):
        pickle.loads(sent)


def test_it_fits_an_image_set(images: StoredImages) -> None:
    labels = np.arange(50, dtype=np.int32) % 2
    held = ImageSet(images=images, labels=labels, class_names=("a", "b"))  # type: ignore[arg-type]
    assert held.image_shape == (9, 7, 3)
    np.testing.assert_array_equal(np.asarray(held.take([4, 2]).images), PIXELS[[4, 2]])


def test_names_are_read_when_asked_for() -> None:
    texts = ["a/1.png", "", "é/2.png", "bad\udcff"]
    encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
    ends = np.cumsum([len(text) for text in encoded])
    names = StoredNames(np.frombuffer(b"".join(encoded), np.uint8), ends)
    assert tuple(names) == tuple(texts)
    assert names[-1] == texts[-1]
    assert names[1:3] == tuple(texts[1:3])
    assert tuple(names.select(np.array([2, 0]))) == ("é/2.png", "a/1.png")
    assert len(names) == 4
