from __future__ import annotations

import numpy as np
import pytest

from tinysight.errors import InvalidValueError, ModelError, UnknownNameError
from tinysight.export.formats import format_names, wanted_formats
from tinysight.export.parity import compare, require_equal, require_small_loss

LABELS = np.array([0, 1, 1, 2])
KERAS = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]], np.float32)


def changed(row: int, *values: float) -> np.ndarray:
    came = KERAS.copy()
    came[row] = values
    return came


def test_the_same_answers() -> None:
    parity = compare(KERAS, KERAS, LABELS)
    assert (parity.num_images, parity.max_probability_difference, parity.label_agreement) == (4, 0, 1)
    assert (parity.accuracy, parity.accuracy_difference, parity.num_changed_labels) == (0.75, 0, 0)
    require_equal(parity, "the file")


def test_a_changed_label_counts_in_agreement_and_accuracy() -> None:
    parity = compare(KERAS, changed(0, 0.2, 0.7, 0.1), LABELS)
    assert parity.max_probability_difference == pytest.approx(0.5)
    assert (parity.label_agreement, parity.num_changed_labels) == (0.75, 1)
    assert (parity.accuracy, parity.accuracy_difference) == (0.5, -0.25)


@pytest.mark.parametrize(("difference", "passes"), [(9e-5, True), (1.1e-4, False)])
def test_a_float_file_may_differ_by_1e_4(difference: float, passes: bool) -> None:
    parity = compare(KERAS, changed(3, 0.1 + difference, 0.1, 0.8 - difference), LABELS)
    if passes:
        require_equal(parity, "ONNX")
    else:
        with pytest.raises(ModelError, match=r"ONNX differs from Keras by 0\.00011"):
            require_equal(parity, "ONNX")


@pytest.mark.parametrize(("gap", "is_tie"), [(5e-6, True), (5e-5, False)])
def test_a_label_may_change_only_where_it_was_a_tie(gap: float, is_tie: bool) -> None:
    keras = changed(1, 0.4 + gap / 2, 0.4 - gap / 2, 0.2)
    parity = compare(keras, changed(1, 0.4 - gap / 2, 0.4 + gap / 2, 0.2), LABELS)
    assert parity.label_agreement == 0.75
    assert parity.num_changed_labels == (0 if is_tie else 1)
    if is_tie:
        require_equal(parity, "ONNX")
    else:
        with pytest.raises(ModelError, match="another class than Keras for 1 of 4 images"):
            require_equal(parity, "ONNX")


def test_not_a_number_is_never_equal() -> None:
    with pytest.raises(ModelError, match="NaN"):
        compare(KERAS, changed(1, np.nan, 0.5, 0.5), LABELS)


def test_another_number_of_classes() -> None:
    with pytest.raises(ModelError, match=r"shape \(4, 2\); Keras gives \(4, 3\)"):
        compare(KERAS, KERAS[:, :2], LABELS)


def one_wrong_in(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keras = np.tile(np.array([0.9, 0.1], np.float32), (count, 1))
    came = keras.copy()
    came[0] = (0.1, 0.9)
    return keras, came, np.zeros(count, int)


def test_int8_may_lose_one_point() -> None:
    parity = compare(*one_wrong_in(100))
    assert parity.accuracy_difference == pytest.approx(-0.01)
    require_small_loss(compare(*one_wrong_in(101)), "ONNX int8", force=False)


def test_int8_past_one_point_needs_force() -> None:
    parity = compare(*one_wrong_in(50))
    with pytest.raises(ModelError, match=r"loses 2\.00 points of accuracy on 50 held-out images.*--force"):
        require_small_loss(parity, "ONNX int8", force=False)
    require_small_loss(parity, "ONNX int8", force=True)


def test_formats_come_once_and_in_order() -> None:
    wanted = wanted_formats(["litert", "onnx", "litert"], "int8")
    assert [item.title for item in wanted] == ["LiteRT int8", "ONNX int8"]


@pytest.mark.parametrize(
    ("names", "quantize", "kind", "message"),
    [
        (["onix"], None, UnknownNameError, "did you mean 'onnx'"),
        (["onnx"], "int4", UnknownNameError, "unknown quantization 'int4'"),
        (["onnx", "keras"], "int8", InvalidValueError, "not for keras"),
        ([], None, InvalidValueError, "no format came"),
    ],
)
def test_formats_that_do_not_exist(names: list[str], quantize: str | None, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        wanted_formats(names, quantize)


def test_every_format_has_a_writer(keras_module: object) -> None:
    from tinysight.export.formats import QUANTIZED
    from tinysight.export.writers import WRITERS

    assert set(format_names()) - {"web"} == set(WRITERS)
    assert {name for name, writer in WRITERS.items() if writer.write_int8} == set(QUANTIZED)
