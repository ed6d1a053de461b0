"""The web page of a run on a static host, and what it answers when asked from Python."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from chromium import Visit


@contextmanager
def static_host(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`python -m http.server`, and where it listens."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        found = re.search(rb"port (\d+)", process.stdout.readline())
        assert found is not None
        yield process, f"http://127.0.0.1:{int(found[1])}"
    finally:
        process.kill()
        process.communicate()


# Pixels come as base64: Playwright takes a millisecond for every few hundred numbers of a list.
ASK = """async ([files, task, index]) => {
  const engine = await import('./engine.js');
  const pictures = files.map((file) => new Blob([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))]));
  await Promise.all(pictures.map((picture) => engine.read(picture).catch(() => null)));
  const found = [];
  for (const picture of pictures) {
    try {
      if (task === 'heat') found.push([...(await engine.explain(picture, index)).heat]);
      else {
        const pixels = btoa(String.fromCharCode(...await engine.read(picture)));
        found.push({ pixels, scores: [...await engine.scores(picture)] });
      }
    } catch (error) {
      found.push({ refused: error.message, kind: error.constructor.name });
    }
  }
  return found;
}"""
FILES_AT_ONCE = 50


def ask(page: Visit, files: Sequence[bytes], task: str = "scores", index: int = 0) -> list[Any]:
    """What the page's engine says of each file: its pixels and scores, its heat map, or why it is refused."""
    answers: list[Any] = []
    for start in range(0, len(files), FILES_AT_ONCE):
        part = [base64.b64encode(file).decode() for file in files[start : start + FILES_AT_ONCE]]
        answers += page.page.evaluate(ASK, [part, task, index])
    for answer in answers:
        if "pixels" in answer:
            answer["pixels"] = np.frombuffer(base64.b64decode(answer["pixels"]), np.uint8)
    return answers
