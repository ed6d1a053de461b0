"""API keys."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from tinysight.errors import InvalidValueError
from tinysight.serving.keys import is_known, read_keys
from tinysight.serving.limits import ServiceLimits


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_one_a_line(tmp_path: Path) -> None:
    assert read_keys(write(tmp_path / "keys", "# ours\nfirst-key\n\n  second \r\n")) == ("first-key", "second")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no key"),
        ("# only words\n\n", "holds no key"),
        ("schlüssel", "beyond ASCII"),
        ("two words", "blank"),
        (b"\xff\xfe", "no text in UTF-8"),
    ],
)
def test_files_that_hold_no_usable_key(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        read_keys(write(tmp_path / "keys", text))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="cannot be read: No such file"):
        read_keys(tmp_path / "gone")


def test_is_known() -> None:
    keys = ("alpha", "beta")
    assert is_known("alpha", keys)
    assert is_known("beta", keys)
    for wrong in ("", "alph", "alphaa", "ALPHA", "gamma", "schlüssel", "\udcff"):
        assert not is_known(wrong, keys)


def test_every_key_is_compared_in_constant_time_on_equal_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    assert is_known("a", ("a", "a-much-longer-key", "c"))
    assert compared == [(32, 32)] * 3


@pytest.mark.parametrize("name", ["max_body_bytes", "max_pixels", "max_images", "max_queue", "max_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_above_zero(name: str, value: float) -> None:
    with pytest.raises(InvalidValueError, match=f"{name} is {value}; expected more than 0"):
        ServiceLimits(**{name: value})
