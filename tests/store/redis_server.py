"""A Redis server, and processes of their own that share their health through it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def redis_server_in(folder: Path) -> RedisServer:
    """One that is not yet started, for a test that is skipped where none is installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    return RedisServer(folder)


class RedisServer:
    """On a port that was free, in a directory of its own. It saves nothing unless told to."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--enable-debug-command", "yes", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        from redis import ConnectionError as NotYet

        ends = time.monotonic() + 10
        while True:
            try:
                self.admin.ping()
            except NotYet:
                assert time.monotonic() < ends, "redis-server did not start"
                time.sleep(0.02)
            else:
                return

    @property
    def admin(self) -> Any:
        """A client for the test itself."""
        return self.admin_with(None)

    def admin_with(self, password: str | None) -> Any:
        """The same, where the server wants a password."""
        import redis  # only slow tests need it

        return redis.Redis.from_url(self.url, password=password, decode_responses=True, socket_timeout=5)

    def pause(self) -> None:
        """It is there, and answers nothing."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """Gone at once, without saving."""
        if self._process is not None:
            self._send(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _send(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


class Worker:
    """A process with a `Health` of its own; a method of `worker.py` for each order."""

    script = Path(__file__).with_name("worker.py")

    def __init__(self, url: str, **given: Any) -> None:
        command = [sys.executable, str(self.script), url, json.dumps(given)]
        path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, text=True
        )

    def __call__(self, order: str, *given: Any) -> Any:
        """What the worker answers to an order."""
        self.order(order, *given)
        return self.answer()

    def order(self, order: str, *given: Any) -> None:
        """Have it done, without waiting."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, *given]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The answer to the oldest order that is not answered."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the worker is gone"
        return json.loads(line)

    def kill(self) -> None:
        """As kill -9."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
