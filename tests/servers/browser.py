"""A real browser without a window: what a page looks like on a screen or on paper, and what it holds once it is shown.

It is led by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) over two pipes: messages
are JSON, each ends with a zero byte, and no port is opened.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .common import HUNG

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    # The browser's own wish for its makers' servers ends here; a page's for this machine does not.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)

_TIMEOUT = 90.0  # seconds for one answer; a loaded machine takes some for the first page


class Browser:
    """One tab. It begins and ends with the context."""

    def __enter__(self) -> Browser:
        with contextlib.ExitStack() as stack:
            self._profile = tempfile.mkdtemp(prefix="autocreate-browser-")
            stack.callback(shutil.rmtree, self._profile, ignore_errors=True)
            self._start(stack)
            target = self._send("Target.createTarget", url="about:blank")["targetId"]
            attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            self._send("Page.enable")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def show(self, page: Path, width: int = 1280, *, dark: bool = False) -> None:
        """Loads a page, as a screen of this width shows it to somebody who prefers light or dark."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        self._send("Page.navigate", url=page.as_uri())
        while "Page.loadEventFired" not in self._events:
            self._receive(self._deadline())

    def evaluate(self, script: str) -> Any:
        """What an expression of JavaScript gives in the page. The page's own policy does not apply to it."""
        answer = self._send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self) -> bytes:
        """The whole page as PNG, however long it is."""
        taken = self._send("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        return base64.b64decode(taken["data"])

    def paper(self) -> bytes:
        """The page as PDF, as it is printed by default but on A4."""
        printed = self._send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        return base64.b64decode(printed["data"])

    def _start(self, stack: contextlib.ExitStack) -> None:
        its_in, self._out = os.pipe()
        self._in, its_out = os.pipe()
        for ours in (self._out, self._in):
            stack.callback(os.close, ours)
        # The browser reads its file descriptor 3 and writes to 4.
        command = ["bash", "-c", f'exec "$@" 3<&{its_in} 4>&{its_out}', "bash", "chromium"]
        process = subprocess.Popen(
            [*command, *FLAGS, f"--user-data-dir={self._profile}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(its_in, its_out),
        )
        stack.callback(process.wait, _TIMEOUT)
        stack.callback(self._end)
        os.close(its_in)
        os.close(its_out)
        self._session = ""
        self._number = 0
        self._buffer = b""
        self._events: list[str] = []

    def _end(self) -> None:
        self._session = ""
        with contextlib.suppress(OSError):  # it may have ended before it answered
            self._send("Browser.close")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command; AssertionError if it is an error."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        _write(self._out, json.dumps(message).encode() + b"\0")
        deadline = self._deadline()
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next message. Those that are no answers are kept by their names."""
        while b"\0" not in self._buffer:
            readable, _, _ = select.select(
                [self._in], [], [], max(0.0, deadline - time.monotonic())
            )
            if not readable:
                raise TimeoutError("the browser does not answer")
            piece = os.read(self._in, 1 << 20)
            if not piece:
                raise ConnectionError("the browser has ended")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self._events.append(message["method"])
        return message

    @staticmethod
    def _deadline() -> float:
        return time.monotonic() + _TIMEOUT


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


def sheets(pdf: Path) -> list[str]:
    """The text of each page of a PDF (pdftotext of poppler)."""
    done = subprocess.run(
        ["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True, timeout=HUNG
    )
    return done.stdout.split("\f")[:-1]


def pictures_of_sheets(pdf: Path, stem: Path) -> Iterator[Path]:
    """Each page of a PDF as a picture, STEM-1.png and on (pdftoppm of poppler)."""
    subprocess.run(["pdftoppm", "-png", "-r", "60", pdf, stem], check=True, timeout=HUNG)
    yield from sorted(stem.parent.glob(f"{stem.name}-*.png"))
