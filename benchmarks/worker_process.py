"""A process in which one library is asked, from outside: it is given tasks and answers each, a JSON line for a line."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, TypeVar

__all__ = ["Gone", "WorkerProcess", "newest"]

ROOT = Path(__file__).parents[1]
_HELLO_SECONDS = 120.0


_Worker = TypeVar("_Worker", bound="WorkerProcess")


class Gone(Exception):
    """The worker ended, or said nothing for too long and was ended."""


@dataclass
class WorkerProcess:
    """
    `python`: the interpreter of the environment in which the library is; `module`: the asker that asks it. `hello`:
    what it said of itself. `program`: the module that runs there.
    """

    program: ClassVar[str]

    python: str
    module: str
    hello: dict[str, Any] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None
    _lines: queue.Queue[str] = field(default_factory=queue.Queue)
    _said: IO[str] | None = None

    @property
    def name(self) -> str:
        """What the library is called."""
        return str(self.hello.get("name", self.module))

    @property
    def missing(self) -> str | None:
        """Why it can't be asked, or `None`."""
        return self.hello.get("missing")

    @property
    def versions(self) -> list[tuple[str, str]]:
        """Of the library itself, and then of those that it works with."""
        return list(self.hello["versions"].items())

    @property
    def running(self) -> bool:
        """Whether it was started, and not ended by us."""
        return self._process is not None

    def start(self) -> None:
        """Start it, or start it anew. Raises `Gone`."""
        self.stop()
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `stop` closes it
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            [self.python, "-m", self.program, self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            cwd=ROOT,
        )
        threading.Thread(target=self._listen, args=(self._process, self._lines), daemon=True).start()
        self.hello = self._answer(_HELLO_SECONDS)

    def do(self, task: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Have it do a task. Raises `Gone` where no answer comes within so many seconds."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            print(json.dumps(task), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise Gone from None
        return self._answer(seconds)

    def said(self) -> str:
        """What it has written to its log so far."""
        if self._said is None:
            return ""
        self._said.seek(0)
        return self._said.read()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            self._process = None
        if self._said is not None:
            self._said.close()
            self._said = None

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            line = ""
        if not line:
            self.stop()
            raise Gone
        answer: dict[str, Any] = json.loads(line)
        return answer

    @staticmethod
    def _listen(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.put(line)
        except ValueError:
            pass  # it was closed meanwhile
        lines.put("")  # no more will come


def newest(kind: type[_Worker], module: str, pythons: Sequence[str]) -> _Worker:
    """
    That asker, started with the interpreter that has the newest version of its library; of equals the first. Where none
    has it, it says why.
    """
    best = kind(pythons[0], module)
    best.start()
    for python in pythons[1:]:
        other = kind(python, module)
        other.start()
        better = other.missing is None and (best.missing is not None or _number(other) > _number(best))
        (best if better else other).stop()
        best = other if better else best
    return best


def _number(worker: WorkerProcess) -> list[int]:
    return [int(part) for part in worker.versions[0][1].split(".") if part.isdecimal()]
