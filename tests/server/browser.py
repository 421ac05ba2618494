"""A headless Chromium with one page, asked over two pipes in its devtools' own protocol: nothing else is needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from time import monotonic
from typing import Any

__all__ = ["Browser", "found"]

_NAMES = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome")


def found() -> str | None:
    """The browser of this machine."""
    return next((path for name in _NAMES if (path := shutil.which(name)) is not None), None)


class Browser:
    """One page; what it complained of and what it fetched is kept."""

    def __init__(self, program: str, profile: Path) -> None:
        command = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ]
        command += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(  # it reads requests from file 3 and writes to file 4
            ["sh", "-c", 'exec "$@" 3<&0 4>&1 0</dev/null 1>&2', "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._number, self._unread = 0, b""
        self._session: str | None = None
        self.complaints: list[str] = []
        self.fetched: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{part}.enable")

    def close(self) -> None:
        """End it and all of its processes."""
        self._session = None
        with self._process:
            self.call("Browser.close")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Ask for one thing and wait for it."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": given}
        if self._session is not None:
            asked["sessionId"] = self._session
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, (method, said)
                result: dict[str, Any] = said["result"]
                return result

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        until = monotonic() + 30
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, until - monotonic()))
            assert ready, "the browser says nothing"
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            assert piece, "the browser ended"
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\0")
        said: dict[str, Any] = json.loads(line)
        self._note(said.get("method", ""), said.get("params", {}))
        return said

    def _note(self, what: str, given: dict[str, Any]) -> None:
        if what == "Network.requestWillBeSent":
            self.fetched.append(given["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        elif what == "Log.entryAdded" or (what == "Runtime.consoleAPICalled" and given["type"] in ("error", "assert")):
            self.complaints.append(str(given.get("entry", given)))
        elif what == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {given['message']}")

    def see(self, script: str) -> Any:
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, (script, result)
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 15) -> None:
        """Until the expression is true."""
        held = f"new Promise((done) => {{ const look = () => ({script}) ? done(true) : setTimeout(look, 50); look(); "
        held += f"setTimeout(() => done(false), {seconds * 1000}); }})"
        assert self.see(held), (script, self.see("document.body.innerText"), self.complaints)

    def picture(self, path: Path, scheme: str, width: int = 1200) -> None:
        """The whole page as it looks."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
