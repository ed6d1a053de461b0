"""Loaded by schemathesis: where the documents say `binary`, some of what it sends are pictures."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies
from running import pictures

PICTURES = strategies.sampled_from(list(pictures().values()))
schemathesis.openapi.format("binary", PICTURES | strategies.binary(min_size=1))
