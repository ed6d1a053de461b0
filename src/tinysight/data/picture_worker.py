"""A process that does `pictures.py`'s work for another one: `python -m tinysight.data.picture_worker`.

Requests come on standard input, one JSON object a line; each answer on standard output is one JSON line, then as many
bytes as it says. It ends when its input does, so also when the other process is killed.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

from tinysight.data.pictures import decode_pictures, picture_facts, reader
from tinysight.errors import ImageError, TinysightError

Answer = tuple[dict[str, Any], bytes]


def answer(request: dict[str, Any], read: Callable[[str], bytes | Path]) -> Answer:
    """Does one request, here.

    Args:
        request: `task`, "decode" or "facts"; `names`; for "decode" also `image_shape`.
        read: from a name to its file or bytes.

    Returns:
        (answer, pixels): for "decode" `failed`, a list of [position, reason], and the pixels of the others; for "facts"
        `facts`, a list of the fields of `Facts` or of a reason.
    """
    if request["task"] == "decode":
        images, failed = decode_pictures(read, request["names"], tuple(request["image_shape"]))
        return {"failed": failed}, images.tobytes()
    return {"facts": [_facts(read, name) for name in request["names"]]}, b""


def _facts(read: Callable[[str], bytes | Path], name: str) -> list[Any] | str:
    try:
        return list(astuple(picture_facts(read, name)))
    except ImageError as error:
        return str(error)


def main() -> None:
    # Ctrl-C goes to the whole group of processes; the one in front decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    first = json.loads(requests.readline())
    read = reader(first["kind"], Path(first["base"]))
    for line in requests:
        try:
            result, pixels = answer(json.loads(line), read)
        except TinysightError as error:
            result, pixels = {"error": str(error)}, b""
        answers.write(json.dumps({**result, "num_bytes": len(pixels)}).encode() + b"\n")
        answers.write(pixels)
        answers.flush()


if __name__ == "__main__":
    main()
