"""A real Chromium, and a page in it that notes whatever it says, asks for or fails at."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def open_browser(*options: str) -> Iterator[Browser]:
    """The machine's own Chromium, without a window. Where there is none the test is skipped, but not in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        assert not os.environ.get("CI"), "there is no Chromium"
        pytest.skip("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    # Its sandbox does not work for root, as whom containers run.
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=[*(["--no-sandbox"] if is_root else []), *options]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """One page.

    Attributes:
        page: Playwright's.
        said: what came to the console, and errors that nobody caught.
        hosts: of every request, those of service workers too.
    """

    page: Page
    said: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def text(self, selector: str) -> str:
        """Without spaces that only keep a line together."""
        return self.page.inner_text(selector).replace("\u00a0", " ")

    def wait_until(self, expression: str) -> None:
        """Playwright's own way evaluates text within the page, which the page's policy forbids."""
        deadline = time.monotonic() + 60
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, expression
            self.page.wait_for_timeout(30)

    def wait_for_answer(self) -> str:
        """Until everything about a picture is shown; the answer in words."""
        self.page.wait_for_selector("#look:not([hidden])")
        self.page.wait_for_selector("#answer:not(.busy)")
        return self.text("#live")

    def wait_for_problem(self) -> str:
        self.page.wait_for_selector("#problem:not([hidden])")
        return self.text("#problem")

    def wait_for_model(self) -> None:
        self.wait_until("!document.getElementById('model-line').textContent.startsWith('Loading')")

    def choose(self, name: str, data: bytes) -> None:
        self.page.set_input_files("#file", {"name": name, "mimeType": "application/octet-stream", "buffer": data})

    def scrolls_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@contextmanager
def visit(browser: Browser, url: str, *, may_say: tuple[str, ...] = (), **options: Any) -> Iterator[Visit]:
    """Opens `url` in a profile of its own; at the end the console must have been silent but for `may_say`."""
    context = browser.new_context(**options)
    context.set_default_timeout(60_000)
    page = context.new_page()
    visited = Visit(page)
    page.on("console", lambda message: visited.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: visited.said.append(f"error: {error}"))
    context.on("request", lambda request: visited.hosts.add(urlsplit(request.url).netloc or "here"))
    try:
        page.goto(url)
        yield visited
        said = [line for line in visited.said if not any(words in line for words in may_say)]
        assert not said, said
    finally:
        context.close()
