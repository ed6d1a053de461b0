"""TensorFlow adds up three large tensors and more in the order in which they come: no such sum decides about bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import small_recipe, stripes

from tinysight.images import ImageSet

NET = """\
import keras
from keras import layers

def make(input_shape):
    images = keras.Input(input_shape)
    maps = layers.Conv2D(64, 3, padding="same", activation="relu")(images)
    # Four gradients of `maps` are added up.
    branches = [layers.Conv2D(64, size, padding="same", activation="relu")(maps) for size in (1, 3, 5)]
    return keras.Model(images, layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.Add()([maps, *branches]))))
"""


@pytest.fixture(autouse=True)
def _keras(keras_module: Any) -> None:
    """Everything here needs Keras on TensorFlow."""


def operations_of(act: Any, folder: Path) -> list[tuple[str, int]]:
    """What TensorFlow runs for `act`, after it has optimised the graph: name and number of inputs."""
    import tensorflow as tf

    tf.summary.trace_on(graph=True)
    act()
    with tf.summary.create_file_writer(str(folder)).as_default():
        tf.summary.trace_export("step", step=0)
    found = []
    for path in folder.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                metadata = tf.compat.v1.RunMetadata.FromString(value.tensor.string_val[0])
                for graph in metadata.partition_graphs:
                    found += [(node.op, sum(not name.startswith("^") for name in node.input)) for node in graph.node]
    return found


@pytest.mark.parametrize("many", [48_000_000, 2_000], ids=["whole", "in parts"])
@pytest.mark.parametrize(
    "fields",
    [
        {}, {"micro_batch_size": 7}, {"group_convolutions": 1, "group_pooling": "before"},
        {"group_convolutions": 3, "residual": True}, {"group_convolutions": 3, "residual": True, "micro_batch_size": 7},
        {"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adamax"},
    ],
    ids=str,
)  # fmt: skip
def test_no_step_of_a_shipped_net_has_a_sum_of_three(
    fields: dict[str, Any], many: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tinysight.models import in_parts
    from tinysight.models.registry import build_training_net
    from tinysight.training.fit import compile_trainee, make_feed

    monkeypatch.setattr(in_parts, "MANY_BYTES", many)
    monkeypatch.setattr(in_parts, "BYTES_OF_PART", 2_000)
    recipe, images = small_recipe(**fields), stripes(60)
    feed = make_feed(recipe, images)
    trainee = compile_trainee(recipe, build_training_net(recipe, images.image_shape, 4), feed.num_steps)
    batch = feed.look_up(feed.order()[: feed.batch_size])
    operations = operations_of(lambda: trainee.train_on_batch(*batch), tmp_path)
    assert ("AddV2", 2) in operations
    assert [each for each in operations if each[0] in {"AddN", "AccumulateNV2"} and each[1] > 2] == []


def test_a_step_in_micro_batches_is_no_part_of_a_longer_loop() -> None:
    """In which TensorFlow's buffers for such sums fail: also a person's own net may have some."""
    from tinysight.models.registry import build_training_net
    from tinysight.training.fit import compile_trainee

    executed = []
    for fields in ({}, {"micro_batch_size": 7}):
        net = build_training_net(small_recipe(**fields), (12, 12, 3), 4)
        executed.append(compile_trainee(small_recipe(**fields), net, 30).steps_per_execution)
    assert executed == [30, 1]


@pytest.mark.parametrize(("model", "expected"), [("fast", 20), ("net.py:make", None)])
def test_steps_know_the_size_of_batches_but_for_nets_of_ones_own(model: str, expected: int | None) -> None:
    from tinysight.training.fit import make_feed

    feed = make_feed(small_recipe(model=model), stripes(60))
    assert feed.for_backend().element_spec[0].shape[0] == expected
    assert [len(labels) for _, labels in feed.for_backend()] == [20, 20, 20]


def test_a_net_of_ones_own_that_adds_four_gradients_up_has_the_same_bits_twice(
    keras_module: Any, tmp_path: Path
) -> None:
    """In batches of so many megabytes TensorFlow takes a buffer for each sum, where it knows how large they are."""
    from tinysight.models.registry import build_training_net
    from tinysight.training.fit import fit

    generator = np.random.default_rng(0)
    images = ImageSet(
        images=generator.integers(0, 256, (800, 32, 32, 3), np.uint8),
        labels=generator.integers(0, 4, 800).astype(np.int32),
        class_names=tuple("abcd"),
    )
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    recipe = small_recipe(model=f"{tmp_path / 'net.py'}:make", batch_size=200, optimizer="sgd")
    found = []
    for _ in range(2):
        keras_module.utils.set_random_seed(3)
        net = build_training_net(recipe, images.image_shape, 4)
        fit(recipe, net, images, None, history_path=tmp_path / "h.csv", quiet=True)
        found.append(net.get_weights())
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first, second)
