"""A vendor on this machine's loopback, a configuration that names it, and two ways to run the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llmswitch import _registry
from tests.command_line import invoke

USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}


@dataclass
class Vendor:
    """A Chat Completions server: what it answers is set by the test, what it was asked is kept."""

    port: int = 0
    pieces: list[str] = field(default_factory=lambda: ["Hello", ", world"])
    reasoning: str = ""
    finish_reason: str = "stop"
    refusal: tuple[int, dict[str, Any]] | None = None
    ends: str = "properly"  # or "early": the connection closes before the end; or "never": nothing more comes
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


class Handler(BaseHTTPRequestHandler):
    """Answers as its vendor says."""

    vendor: Vendor

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.vendor.asked.append(asked)
        self.vendor.keys.append(self.headers.get("authorization"))
        if self.vendor.refusal is not None:
            status, body = self.vendor.refusal
            self._whole(status, body)
        elif asked.get("stream"):
            self._stream()
        else:
            message = {"role": "assistant", "content": "".join(self.vendor.pieces)}
            if self.vendor.reasoning:
                message["reasoning_content"] = self.vendor.reasoning
            choice = {"index": 0, "message": message, "finish_reason": self.vendor.finish_reason}
            self._whole(200, {"id": "1", "object": "chat.completion", "choices": [choice], "usage": USAGE})

    def _whole(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        if self.vendor.reasoning:
            self._event({"reasoning_content": self.vendor.reasoning})
        for piece in self.vendor.pieces:
            self._event({"content": piece})
        if self.vendor.ends == "never":
            self.vendor.over.wait(20)
        if self.vendor.ends == "properly":
            self._event({}, self.vendor.finish_reason)
            self.wfile.write(f"data: {json.dumps({'id': '1', 'choices': [], 'usage': USAGE})}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, delta: dict[str, Any], finish_reason: str | None = None) -> None:
        event = {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """A vendor that answers `Hello, world`."""
    vendor = Vendor()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"vendor": vendor}))
    vendor.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield vendor
    vendor.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def config(vendor: Vendor, tmp_path: Path) -> Path:
    """An llmswitch.toml in the working folder: the chain `main` asks a closed port first, then the vendor."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        dead = listener.getsockname()[1]
    path = tmp_path / "llmswitch.toml"
    path.write_text(
        f"""
        default = "main"
        [chains.main]
        targets = ["dead:one", "fake:two"]
        [providers.dead]
        dialect = "openai"
        base_url = "http://127.0.0.1:{dead}/v1"
        [providers.fake]
        dialect = "openai"
        base_url = "{vendor.base_url}"
        """
    )
    return path


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, as a user without a configuration and without keys."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in _registry.provider_names():
        for site in _registry.provider(name).sites.values():
            for variable in site.key_env:
                monkeypatch.delenv(variable, raising=False)
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run() -> Callable[..., Any]:
    """Run the command line in this process; the result has `stdout`, `stderr` and `exit_code`."""

    def run(*arguments: str, stdin: str | None = None) -> Any:
        result = invoke(list(arguments), stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `python -m llmswitch` as a user does; it is ended with the test."""
    started: list[subprocess.Popen[str]] = []
    # A child of a program that ignores Ctrl-C would ignore it too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def spawn(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "llmswitch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        )
        started.append(process)
        return process

    yield spawn
    for process in started:
        with process:
            process.kill()
    signal.signal(signal.SIGINT, before)
