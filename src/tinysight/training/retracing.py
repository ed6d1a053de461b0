"""Silence for a warning of TensorFlow's that several trainings in one process bring about."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """From the fifth net on TensorFlow takes each net's own functions for one that is traced anew."""
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_is_other_news)
    try:
        yield
    finally:
        logger.removeFilter(_is_other_news)


def _is_other_news(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()
