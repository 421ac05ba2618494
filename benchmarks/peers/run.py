"""Plays each fault to each library: a worker process that is asked, and servers here that say what they heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.wire import answering
from benchmarks.worker_process import Gone, WorkerProcess
from llmswitch.testing.fault_server import FaultServer, Received

from .asking import PROMPT, key
from .faults import Fault, port_of
from .judge import GOOD, Seen, Verdict, judge

__all__ = ["Cell", "Gone", "Limits", "Worker", "play", "warm_up", "workers"]


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


class Worker(WorkerProcess):
    """The process in which one library is asked."""

    program = "benchmarks.peers.worker"

    def leaked(self) -> bool:
        """Whether a key or the prompt is in what it has written to its log so far."""
        said = self.said()
        return PROMPT in said or key(1) in said or key(2) in said


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
    if fault.heavy or not worker.running:
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
