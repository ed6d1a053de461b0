"""Training on images that stay on disk: the same bits as in memory, and memory that does not grow with their number.

`benchmarks/million_images.py` does the same with a million, and measures the speed.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import stripes

from tinysight.images import ImageSet
from tinysight.recipe import make_recipe
from tinysight.stored import StoredImages, open_rows

STATUS = Path("/proc/self/status")
FEW, MANY = 2_000, 120_000


def on_disk(images: ImageSet, folder: Path) -> ImageSet:
    """The same images as rows of a file, in which they lie backwards among others."""
    everything = np.concatenate([images.images, stripes(20, seed=9).images])[::-1]
    (folder / "images.u8").write_bytes(everything.tobytes())
    rows = open_rows(folder / "images.u8", everything.shape).select(np.arange(len(everything))[::-1][: len(images)])
    return replace(images, images=rows)


def test_the_same_bits_as_in_memory(keras_module: Any, tmp_path: Path) -> None:
    from tinysight.models.registry import build_net
    from tinysight.training.fit import fit

    recipe = make_recipe(
        {"layers": ["conv 4", "pool", "dropout 0.2", "dense 6"], "batch_size": 16, "epochs": 2, "flip": "alternating"}
    )
    in_memory, weights = stripes(90), []
    stored = on_disk(in_memory, tmp_path)
    assert isinstance(stored.images, StoredImages)
    for number, images in enumerate((in_memory, stored)):
        keras_module.utils.set_random_seed(0)
        net = build_net(recipe, images.image_shape, images.num_classes)
        fit(recipe, net, images, images, history_path=tmp_path / f"{number}.csv", quiet=True)
        weights.append([weight.tobytes() for weight in net.get_weights()])
    assert weights[0] == weights[1]


def test_an_accelerator_gets_them_in_parts(keras_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    from tinysight.training import whole_epochs
    from tinysight.training.feed import Feed

    def refuse(*words: Any, **more: Any) -> None:
        raise AssertionError("all images came into memory")

    images = stripes(90)
    stored = on_disk(images, tmp_path)
    monkeypatch.setattr(whole_epochs, "BYTES_PER_PART", images.images[:20].nbytes)
    monkeypatch.setattr(StoredImages, "__array__", refuse)
    resident = whole_epochs.put_on_device(Feed(stored, batch_size=16, seed=0, one_hot=False))
    np.testing.assert_array_equal(resident.pixels, images.images)
    np.testing.assert_array_equal(resident.labels, images.labels)


def anonymous_megabytes() -> float:
    """What is resident apart from files: pages of files are in the cache and go when memory is needed."""
    (line,) = [line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1000


@pytest.mark.skipif(
    not STATUS.is_file() or "RssAnon" not in STATUS.read_text(encoding="utf-8"), reason="needs Linux's account of it"
)
def test_memory_does_not_grow_with_the_images(keras_module: Any, tmp_path: Path) -> None:
    from tinysight.models.registry import build_net
    from tinysight.training.fit import fit

    class Look(keras_module.callbacks.Callback):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen.append(anonymous_megabytes())

    recipe = make_recipe({"layers": ["pool"], "pool_size": 8, "batch_size": 500, "epochs": 1})
    grown = []
    # The first time also what TensorFlow takes for itself.
    for count in (FEW, MANY):
        gc.collect()
        before = anonymous_megabytes()
        path = tmp_path / f"{count}.u8"
        with path.open("wb") as file:
            # Without blocks on the disk: black images.
            file.truncate(count * 32 * 32 * 3)
        rows = open_rows(path, (count, 32, 32, 3))
        labels = (np.arange(count) % 4).astype(np.int32)
        images = ImageSet(images=rows, labels=labels, class_names=("a", "b", "c", "d"))  # type: ignore[arg-type]
        net, look = build_net(recipe, (32, 32, 3), 4), Look()
        fit(recipe, net, images, None, history_path=tmp_path / "h.csv", quiet=True, callbacks=[look])
        grown.append(max(look.seen) - before)
    # All of them would be 369 MB; the blocks that wait to be trained on are 6 MB each, and memory that other tests gave
    # back is taken again.
    assert grown[1] < 180, grown
