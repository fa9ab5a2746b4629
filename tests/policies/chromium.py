"""A real headless Chromium, spoken to over its debugging pipe (Chrome DevTools Protocol)."""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

PROGRAM = shutil.which("chromium") or ""
# In containers the sandbox, shared memory and the GPU are often missing.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
)
_SECONDS = 300  # of a whole run of tests; a browser that hangs ends then, and its pipe with it


class Page:
    """`requests`: URLs that were asked for. `blocked`: why one wasn't sent. `complaints`: of the console, and what was thrown."""

    def __init__(self, send: BinaryIO, receive: BinaryIO) -> None:
        self._send, self._receive = send, receive
        self._count = 0
        self._session = ""
        self.requests: list[str] = []
        self.blocked: list[str] = []
        self.complaints: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", offline=True, **conditions)

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._count += 1
        number = self._count
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._send.write(json.dumps(message).encode() + b"\0")
        self._send.flush()
        while True:
            found = self._next()
            if found.get("id") == number:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._receive.read(1)) not in (b"\0", b""):
            text += byte
        assert text, "Chromium closed its debugging pipe"
        found: dict[str, Any] = json.loads(text)
        self._note(found.get("method", ""), found.get("params", {}))
        return found

    def _note(self, method: str, about: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif method == "Network.loadingFailed":
            self.blocked.append(about.get("blockedReason", about["errorText"]))
        elif method in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.complaints.append(json.dumps(about))
        elif method == "Page.loadEventFired":
            self._loaded = True

    def open(self, file: Path) -> None:
        self._loaded = False
        self.call("Page.navigate", url=file.as_uri())
        while not self._loaded:
            self._next()

    def scripts(self, *, on: bool) -> None:
        """Those of the page; `value` works either way."""
        self.call("Emulation.setScriptExecutionDisabled", value=not on)

    def value(self, expression: str) -> Any:  # noqa: ANN401 - whatever JavaScript has
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def type(self, selector: str, text: str) -> None:
        """With the keyboard, behind what stands there."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])

    def screenshot(self, *, top: int = 0, width: int = 1500, height: int = 1700) -> bytes:
        """A PNG of a part of the page, pixels from its top."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        found = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(found["data"])


@contextmanager
def running() -> Iterator[Page]:
    """Without a network, and with a profile of its own, which goes away. Its pipe is file descriptors 3 and 4."""
    to_child, send = os.pipe()
    receive, from_child = os.pipe()
    as_3_and_4 = ("bash", "-c", f'exec "$@" 3<&{to_child} 4>&{from_child}', "bash")
    with tempfile.TemporaryDirectory(prefix="podkeys-chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [*as_3_and_4, PROGRAM, *_FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(to_child, from_child),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        watchdog = threading.Timer(_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.start()
        os.close(to_child)
        os.close(from_child)
        try:
            with os.fdopen(send, "wb") as writer, os.fdopen(receive, "rb") as reader:
                yield Page(writer, reader)
        finally:
            watchdog.cancel()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
