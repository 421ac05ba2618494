"""Vendors' SDKs that can't be installed beside this library, or weigh too much: each in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.once import once

__all__ = ["UV", "Ear", "Sent", "run_with"]

UV = (sys.executable, "-m", "uv")  # makes an environment in a tenth of the time that pip takes


@dataclass
class Sent:
    """One request as it came over the wire; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Ear:
    """A loopback server that keeps what it is sent. `answer` gives the content type and the body of each answer."""

    def __init__(self, answer: Callable[[Sent], tuple[str, bytes]]) -> None:
        heard: list[Sent] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                heard.append(Sent(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                kind, said = answer(heard[-1])
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST

            def log_message(self, *_: object) -> None: ...

        self.heard = heard
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()


def run_with(cache: pytest.Cache | None, requirement: str, script: str, *arguments: str) -> None:
    """
    Run a script in an environment that holds this package, or these with spaces between them, which is made when first
    needed and then kept.

    Fails with what the script said where it fails.
    """
    assert cache is not None, "pytest's cache is where such environments are kept"
    folder = Path(cache.mkdir(f"sdk-{requirement.replace('==', '-').replace(' ', '+')}"))
    python = folder / "venv" / "bin" / "python"

    def make() -> None:
        subprocess.run([*UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder / "venv"], check=True)
        install = [*UV, "pip", "install", "--quiet", "--python", python, *requirement.split()]
        subprocess.run(install, check=True, timeout=600)

    once(folder, make)
    done = subprocess.run(
        [python, "-c", script, *arguments], capture_output=True, text=True, timeout=120, cwd=folder, check=False
    )
    assert 0 == done.returncode, f"{done.stdout[-2000:]}{done.stderr[-4000:]}"


def listening(answer: Callable[[Sent], tuple[str, bytes]]) -> Iterator[Ear]:
    """For fixtures: an ear that ends with the test."""
    ear = Ear(answer)
    yield ear
    ear.close()
