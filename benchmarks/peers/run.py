"""Plays each fault to each library: a worker process that is asked, and servers here that say what they heard."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from benchmarks.wire import answering
from llmswitch.testing.fault_server import FaultServer, Received

from .asking import PROMPT, key
from .faults import Fault, port_of
from .judge import GOOD, Seen, Verdict, judge

__all__ = ["Cell", "Gone", "Limits", "Worker", "play", "warm_up", "workers"]

ROOT = Path(__file__).parents[2]
_HELLO_SECONDS = 120.0


class Gone(Exception):
    """The worker ended, or said nothing for too long and was ended."""


@dataclass(frozen=True)
class Limits:
    """`seconds`: what each target is given (`None`: each library's own defaults). `patience`: later it hangs."""

    seconds: float | None = 1.5
    patience: float = 6.0


@dataclass(frozen=True)
class Cell:
    """
    One fault, one library, one way. `first`: requests that the first target heard, by call. `said`: the error of the
    call that was judged. `finish`: the finish reason that the caller was told. `leaked`: what went where it must not.
    """

    verdict: Verdict
    seconds: float = 0.0
    first: Sequence[int] = ()
    error: str | None = None
    said: str = ""
    finish: str | None = None
    grown: int = 0
    leaked: Sequence[str] = ()
    key_in_error: bool = False

    @property
    def good(self) -> bool:
        """Whether a caller has nothing to complain of."""
        return self.verdict in GOOD


@dataclass
class Worker:
    """The process in which one library is asked."""

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

    def start(self) -> None:
        """Start it, or start it anew. Raises `Gone`."""
        self.stop()
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `stop` closes it
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            [self.python, "-m", "benchmarks.peers.worker", self.module],
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

    def leaked(self) -> bool:
        """Whether a key or the prompt is in what it has written to its log so far."""
        if self._said is None:
            return False
        self._said.seek(0)
        said = self._said.read()
        return PROMPT in said or key(1) in said or key(2) in said

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


@contextmanager
def workers(modules: Sequence[tuple[str, str]]) -> Iterator[list[Worker]]:
    """Workers for these modules, each with the Python that has the library; they end with the block."""
    with ExitStack() as stack:
        made = []
        for module, python in modules:
            worker = Worker(python, module)
            stack.callback(worker.stop)
            worker.start()
            made.append(worker)
        yield made


def warm_up(worker: Worker) -> None:
    """One call of each kind to healthy targets: what a library loads with its first call is not counted later."""
    with FaultServer(answering()) as t1, FaultServer(answering()) as t2:
        for stream in (False, True):
            answer = worker.do(_task([t1.url, t2.url], Limits(None, 60.0), stream=stream), 90.0)
            if "failed" in answer or answer["calls"][0]["error"] is not None:
                raise RuntimeError(f"{worker.name} can't ask a healthy target: {answer}")


def _task(urls: Sequence[str], limits: Limits, *, stream: bool, calls: int = 1, cancelled: int = 0) -> dict[str, Any]:
    return {
        "urls": [f"{url}/v1" for url in urls],
        "seconds": limits.seconds,
        "patience": limits.patience,
        "stream": stream,
        "calls": calls,
        "cancelled": cancelled,
    }


def play(worker: Worker, fault: Fault, limits: Limits, *, stream: bool) -> Cell:
    """Play one fault to one library."""
    if fault.heavy or worker._process is None:
        # what an earlier call has left in memory would hide what this one takes
        worker.start()
        warm_up(worker)
    if fault.cancelled and limits.seconds is not None:
        limits = replace(limits, seconds=10 * limits.seconds)  # it is the caller who gives up, not the library
    with ExitStack() as stack:
        sink = stack.enter_context(FaultServer(answering("the answer of the sink")))
        t1 = stack.enter_context(fault.first(sink.url))
        t2 = stack.enter_context(FaultServer(answering()))
        urls = [port_of(t1), t2.url]
        task = _task(urls, limits, stream=stream, calls=fault.calls, cancelled=fault.cancelled)
        try:
            answer = worker.do(task, (limits.patience + 2) * fault.calls + 10 + limits.patience * 5)
        except Gone:
            return Cell("crashed")
        if "failed" in answer:
            return Cell("crashed", said=answer["failed"])
        first = t1.requests if isinstance(t1, FaultServer) else []
        return _cell(fault, answer, first, t2.requests, sink.requests)


def _cell(
    fault: Fault,
    answer: dict[str, Any],
    first: Sequence[Received],
    second: Sequence[Received],
    sink: Sequence[Received],
) -> Cell:
    calls = answer["calls"]
    leaked = _leaked(sink, second)
    handed_on = bool(fault.partial) and any(fault.partial.strip().encode() in request.body for request in second)
    verdicts = [
        judge(fault, Seen(call["text"], call["error"] and call["error"]["type"], call["hung"], handed_on, leaked))
        for call in calls
    ]
    worst = next((index for index, verdict in enumerate(verdicts) if verdict not in GOOD), 0)
    call = calls[worst]
    error = call["error"] or {}
    return Cell(
        verdict=verdicts[worst],
        seconds=calls[0]["seconds"],
        first=_by_call(fault, len(first), first, second),
        error=error.get("type"),
        said=error.get("said", ""),
        finish=call["finish"],
        grown=answer["grown"],
        leaked=leaked,
        key_in_error=any(bool(call["error"] and call["error"]["key"]) for call in calls),
    )


def _leaked(sink: Sequence[Received], second: Sequence[Received]) -> list[str]:
    found = []
    if any(key(1) in value for request in (*sink, *second) for value in request.headers.values()):
        found.append("key")
    if any(PROMPT.encode() in request.body for request in sink):
        found.append("prompt")
    return found


def _by_call(fault: Fault, number: int, first: Sequence[Received], second: Sequence[Received]) -> tuple[int, ...]:
    """Requests to the first target: in all, or, where a second call follows, for the first call and after it."""
    if not fault.lasting or not second:
        return (number,)
    until = second[0].time
    early = sum(request.time <= until for request in first)
    return (early, number - early)
