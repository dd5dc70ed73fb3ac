"""A headless Chromium over its own debugging pipe: enough to load pages and ask about them."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def chromium() -> str:
    """The browser's path; without one the test fails and says what to install."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise AssertionError("no Chromium: install it (apt-get install chromium); CI does")


class Browser:
    """A process of Chromium; each of its pages has a session of its own on the one pipe."""

    def __init__(self) -> None:
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()
        self._number, self._buffer = 0, b""
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.pages: dict[str, Page] = {}

        def wire() -> None:  # copies first: either end may itself be 3 or 4
            read, write = os.dup(to_read), os.dup(from_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self._process = subprocess.Popen(
            [chromium(), *FLAGS, f"--user-data-dir={self._profile.name}"],
            preexec_fn=wire,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(from_write)

    def receive(self) -> dict[str, Any]:
        """The next message; what happened on a page is noted there."""
        while b"\0" not in self._buffer:
            block = os.read(self._from, 1 << 20)
            assert block, "Chromium closed its pipe"
            self._buffer += block
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        if page := self.pages.get(message.get("sessionId", "")):
            page.note(message)
        return message

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        call = {"id": self._number, "method": method, "params": params}
        if session:
            call["sessionId"] = session
        os.write(self._to, json.dumps(call).encode() + b"\0")
        while (message := self.receive()).get("id") != self._number:
            continue
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()


@cache
def _browser() -> Browser:
    """One for all pages of this process: a start costs more than most pages."""
    browser = Browser()
    atexit.register(browser.end)
    return browser


@dataclass
class Page:
    """A loaded page; ``requests`` and ``dialogs`` are what happened since it was opened."""

    _browser: Browser
    _session: str
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    loaded: bool = False

    def note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
        elif method == "Page.loadEventFired":
            self.loaded = True

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def ask(self, expression: str) -> Any:
        """The value of an expression or of its promise; the page's own policy does not bind it."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")


@contextmanager
def opened(path: Path, *, width: int, height: int = 900) -> Iterator[Page]:
    """A page of its own, with nothing of other pages, that shows ``path`` ``width`` pixels wide."""
    browser = _browser()
    context = browser.call("Target.createBrowserContext")
    target = browser.call("Target.createTarget", url="about:blank", **context)["targetId"]
    to = {"targetId": target, "flatten": True}
    session = browser.call("Target.attachToTarget", **to)["sessionId"]
    page = browser.pages[session] = Page(browser, session)
    try:
        page.call("Page.enable")
        page.call("Network.enable")
        window = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        page.call("Emulation.setDeviceMetricsOverride", **window)
        page.call("Page.navigate", url=path.as_uri())
        while not page.loaded:
            browser.receive()
        yield page
    finally:
        del browser.pages[session]
        browser.call("Target.disposeBrowserContext", **context)
