"""The tree of errors."""

from __future__ import annotations

import pickle
import re

import pytest

from tinysight import errors
from tinysight.errors import TinysightError, TrainingInterruptedError, UnknownNameError

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, TinysightError)]


def test_the_drawing_shows_every_class_at_its_depth() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"^([ │├└─]*)(\w+Error) ", errors.__doc__, re.MULTILINE)
    depths = {name: len(lead) // 4 for lead, name in drawn}
    assert depths == {kind.__name__: len(kind.__mro__) - TinysightError.__mro__.__len__() for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_exit_status(kind: type[TinysightError]) -> None:
    assert kind.exit_status == (130 if kind is TrainingInterruptedError else 2)


def test_the_closest_name_is_named() -> None:
    error = UnknownNameError("recipe", "tensorflw", ["two-conv", "tensorflow"])
    assert str(error) == "unknown recipe 'tensorflw': did you mean 'tensorflow'?"
    assert error.choices == ["tensorflow", "two-conv"]


def test_every_name_where_none_is_close() -> None:
    assert str(UnknownNameError("pet", "zzz", ["dog", "cat"])) == "unknown pet 'zzz': choose from: cat, dog"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_from_another_process(kind: type[TinysightError]) -> None:
    error = kind("pet", "zzz", ["dog"]) if issubclass(kind, UnknownNameError) else kind("expected a dog")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, str(error))
