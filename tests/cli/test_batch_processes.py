"""`llmswitch batch` as a process over a real connection: killed, interrupted, and throttled."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.everyday import many

pytestmark = pytest.mark.slow

Spawn = Callable[..., subprocess.Popen[str]]


@dataclass
class Busy:
    """A vendor that takes `delay` seconds for an answer, allows `rate` of them a second, and counts what was asked."""

    delay: float = 0.0
    rate: float | None = None
    asked: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    left: float = 0.0
    at: float = field(default_factory=time.monotonic)
    port: int = 0

    def admits(self, prompt: str) -> bool:
        with self.lock:
            now = time.monotonic()
            if self.rate is not None:
                self.left = min(self.rate, self.left + (now - self.at) * self.rate)
                self.at = now
                if self.left < 1:
                    self.throttled += 1
                    return False
                self.left -= 1
            self.asked[prompt] += 1
            return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    vendor: Busy

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.vendor.admits(body["messages"][-1]["content"]):
            self._send(429, {"error": {"message": "too many requests", "code": "rate_limit_exceeded"}})
            return
        self.vendor.over.wait(self.vendor.delay)
        choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
        self._send(200, {"id": "1", "object": "chat.completion", "choices": [choice]})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        try:
            self.wfile.write(head.encode() + content)
        except OSError:
            self.close_connection = True  # the client was killed

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no error here."""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Busy]:
    vendor = Busy()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"vendor": vendor}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    (tmp_path / "llmswitch.toml").write_text(
        f'default = "own:m"\n[providers.own]\ndialect = "openai"\nbase_url = "http://127.0.0.1:{server.server_port}/v1"\n'
    )
    yield vendor
    vendor.over.set()
    server.shutdown()
    server.server_close()


def write(path: Path, count: int) -> str:
    path.write_text("".join(f'{{"id": "r{n}", "prompt": "p{n}"}}\n' for n in range(count)))
    return str(path)


def written(path: Path) -> set[str]:
    """The prompts of the requests whose results are whole in the file."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return {f"p{json.loads(line)['id'][1:]}" for line in lines}


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_killed_again_and_again_it_asks_nothing_twice_whose_result_is_written(
    spawn: Spawn, busy: Busy, tmp_path: Path
) -> None:
    """After each kill -9 at most those are asked again that were in flight."""
    busy.delay = 0.05
    given, out = write(tmp_path / "in.jsonl", 400), tmp_path / "out.jsonl"
    kills = 3
    kept: list[tuple[set[str], Counter[str]]] = []
    for kill in range(1, kills + 1):
        process = spawn("batch", given, str(out), "--concurrency", "8")
        until(lambda: len(written(out)) >= kill * 90)
        process.kill()
        process.wait(10)
        time.sleep(0.2)  # what had been sent has been counted
        kept.append((written(out), busy.asked.copy()))
    process = spawn("batch", given, str(out), "--concurrency", "8")
    assert (process.wait(60), len(written(out))) == (0, 400)
    assert len(out.read_text().splitlines()) == 400
    for names, before in kept:
        assert {name: busy.asked[name] for name in names} == {name: before[name] for name in names}
    assert sum(busy.asked.values()) - 400 <= 8 * kills
    assert len(busy.asked) == 400


def test_ctrl_c_waits_for_what_is_in_flight(spawn: Spawn, busy: Busy, tmp_path: Path) -> None:
    """Everything that was asked has its result; status 130, and the next run goes on."""
    busy.delay = 0.3
    given, out = write(tmp_path / "in.jsonl", 60), tmp_path / "out.jsonl"
    process = spawn("batch", given, str(out), "--concurrency", "4")
    until(lambda: len(written(out)) >= 8)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert "the same command goes on" in (process.stderr.read() if process.stderr else "")
    assert written(out) == set(busy.asked)
    busy.delay = 0.0
    assert spawn("batch", given, str(out)).wait(20) == 0
    assert set(busy.asked.values()) == {1}


def test_ctrl_c_does_not_wait_for_ever(spawn: Spawn, busy: Busy, tmp_path: Path) -> None:
    """A vendor that hangs is left after a few seconds, and at once when asked again."""
    busy.delay = 60
    given = write(tmp_path / "in.jsonl", 10)
    for presses, most in ((1, 9), (2, 4)):
        process = spawn("batch", given, str(tmp_path / "out.jsonl"))
        before = sum(busy.asked.values())
        until(lambda: sum(busy.asked.values()) >= before + 4)
        began = time.monotonic()
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert process.wait(20) == 130
        assert time.monotonic() - began < most
        assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_a_vendor_s_rate_is_kept_to_without_a_failure(spawn: Spawn, busy: Busy, tmp_path: Path) -> None:
    """Hundreds of calls at a vendor that says no to the 51st in a second: all are answered, at nearly that rate."""
    busy.rate, busy.delay = 50.0, 0.02
    calls = many(600)
    given, out = write(tmp_path / "in.jsonl", calls), tmp_path / "out.jsonl"
    began = time.monotonic()
    process = spawn("batch", given, str(out), "--concurrency", "32")
    assert process.wait(200) == 0
    seconds = time.monotonic() - began
    print(f"{calls / seconds:.1f} a second, {busy.throttled} times throttled")
    assert (len(written(out)), (tmp_path / "out.failed.jsonl").exists()) == (calls, False)
    assert calls / seconds >= 35  # the start of the process is part of it
    assert busy.throttled <= calls / 5
