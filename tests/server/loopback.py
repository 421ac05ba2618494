"""A vendor and a gateway in processes and threads of their own, for real clients to ask."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from llmswitch.server.keys import hashed

__all__ = ["ADMIN", "KEY", "SPITEFUL", "Vendor", "gateway", "vendor"]

KEY, ADMIN = "sk-llmswitch-alice", "sk-llmswitch-ops"
SPITEFUL = "<img src=x onerror=alert(1)>"
_USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
_CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
}
_FAULTS: dict[str, tuple[int, dict[str, str]]] = {
    "down": (503, {}),
    "limited": (429, {"retry-after": "7"}),
}


@dataclass
class Vendor:
    """Chat Completions and vectors by the model's name: `down`, `limited`, `patient`; any other answers."""

    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    let: threading.Event = field(default_factory=threading.Event)  # what `patient` waits for

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


class _Handler(BaseHTTPRequestHandler):
    vendor: Vendor

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.vendor.asked.append(asked)
        if asked["model"] in _FAULTS:
            status, headers = _FAULTS[asked["model"]]
            self._whole(status, {"error": {"message": SPITEFUL, "code": SPITEFUL}}, headers)
            return
        if asked["model"] == "patient":
            self.vendor.let.wait(20)
        if self.path.endswith("/embeddings"):
            vectors = [{"index": number, "embedding": [0.5, -1.0]} for number, _ in enumerate(asked["input"])]
            self._whole(200, {"data": vectors, "usage": {"prompt_tokens": 3, "total_tokens": 3}})
            return
        calls = asked.get("tools") and asked["messages"][-1]["role"] != "tool"
        parts = [{"tool_calls": [_CALL]}] if calls else [{"content": "Hello"}, {"content": ", world"}]
        reason = "tool_calls" if calls else "stop"
        if asked.get("stream"):
            self._stream(parts, reason)
            return
        message = parts[0] if calls else {"content": "Hello, world"}
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
        self._whole(200, {"id": "1", "choices": [choice], "usage": _USAGE})

    def _whole(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        lines = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, parts: list[dict[str, Any]], reason: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        events: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": part}]} for part in parts]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        events.append({"choices": [], "usage": _USAGE})
        self.wfile.write("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n")

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def vendor() -> Iterator[Vendor]:
    """A vendor on a free port."""
    made = Vendor()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"vendor": made}))
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.let.set()
        server.shutdown()
        thread.join()
        server.server_close()


_CONFIG = """
default = "main"
[chains.main]
targets = ["first:down", "deepseek:deepseek-flash"]
[aliases]
"*" = "main"
[providers.first]
dialect = "openai"
base_url = "{first}"
[providers.second]
dialect = "openai"
base_url = "{second}"
capabilities = {{ embeddings = true }}
# an account of its own: what limits it limits no other
[providers.third]
dialect = "openai"
base_url = "{second}"
api_key = {{ env = "OTHER_API_KEY" }}
[providers.deepseek]
base_url = "{second}"
api_key = {{ env = "LOOPBACK_API_KEY" }}
[server]
port = 0
admin_port = 0
{more}
[[server.keys]]
name = "alice"
sha256 = "{alice}"
models = ["*"]
[[server.keys]]
name = "ops"
sha256 = "{ops}"
admin = true
"""


@contextmanager
def gateway(
    first: Vendor, second: Vendor, folder: Path, more: str = ""
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """`llmswitch serve` in front of both: the process, and the addresses for clients and for the administration."""
    config = folder / "llmswitch.toml"
    keys = {"alice": hashed(KEY), "ops": hashed(ADMIN)}
    config.write_text(_CONFIG.format(first=first.base_url, second=second.base_url, more=more, **keys))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LLMSWITCH_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "llmswitch", "serve", "--config", str(config)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={
            **clean,
            "LOOPBACK_API_KEY": "loopback",
            "OTHER_API_KEY": "other",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    assert process.stderr is not None
    with process:
        try:
            said = ""
            while (found := re.search(r"listening on (\S+), status on (\S+)/status", said)) is None:
                line = process.stderr.readline()
                assert line, f"the gateway ended: {said}"
                said += line
            yield process, found[1], found[2]
        finally:
            process.kill()
