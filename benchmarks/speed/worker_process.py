"""The process of one library, from outside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["Missing", "Worker"]

_ROOT = Path(__file__).parents[2]


class Missing(Exception):
    """The library is not installed there."""


class Worker:
    """`python`: the interpreter of the environment in which the library is. Raises `Missing`."""

    def __init__(self, python: str, module: str) -> None:
        command = [python, "-m", "benchmarks.speed.worker", module]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_ROOT
        )
        self.python, self.module = python, module
        hello = self._line()
        if "missing" in hello:
            self.close()
            raise Missing(hello["missing"])
        self.name: str = hello["name"]
        self.able = frozenset(hello["able"])
        self.versions: dict[str, str] = hello["versions"]
        self.imports: str = hello["import"]

    def measure(self, name: str, url: str, count: int) -> float | str:
        """Microseconds of CPU for each call or piece of text, or KiB; or what went wrong."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"measure": name, "url": url, "count": count}) + "\n")
        self._process.stdin.flush()
        answer = self._line()
        if "failed" in answer:
            return str(answer["failed"]).strip().splitlines()[-1][:200]
        return float(answer["value"])

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            return {"failed": f"{self.module}: its process has ended"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
