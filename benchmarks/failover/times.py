"""How long it takes from the failure of the first target to the first byte of the second."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.wire import JSON, Script, Stamp, completion, streamed
from llmswitch.testing.fault_server import FaultServer, Hang, ReadRequest, Send, refused_port, response, sse

from .run import WAYS, Figure, Results, Settings, Way, measured, quantile

__all__ = ["at_once", "silent"]

PATIENT = {"timeout": 30.0, "first_token_timeout": 10.0, "idle_timeout": 10.0, "connect_timeout": 5.0}
AT_ONCE = (1.0, 5.0)
AFTER_A_RETRY = (51.0, 55.0)  # the one repetition waits at most 50 ms
_WARM_UP = 6  # calls, of both together
_PAID_FOR = 25


@dataclass(frozen=True)
class Fault:
    """A refusal. `tries`: how often the first target is asked; `status` 0: it can't be reached at all."""

    name: str
    status: int
    body: JSON
    tries: int = 1


def _said(message: str, code: str | None = None) -> JSON:
    return {"error": {"message": message, "type": "error", "code": code}}


FAULTS = [
    Fault("refused", 0, {}),
    Fault("401", 401, _said("Incorrect API key provided", "invalid_api_key")),
    Fault("402", 402, _said("Insufficient balance")),
    Fault("404", 404, _said("The model does not exist", "model_not_found")),
    Fault("429", 429, _said("Rate limit reached", "rate_limit_exceeded")),
    Fault("503", 503, _said("Service unavailable")),
    Fault("529", 529, _said("Overloaded", "overloaded_error")),
    Fault("500", 500, _said("The server had an error"), tries=2),
]


def at_once(settings: Settings, results: Results) -> None:
    """Failures that are told at once."""
    for fault in FAULTS[:1] + FAULTS[-1:] if settings.quick else FAULTS:
        for way in WAYS[::3] if settings.quick else WAYS:
            _compare(settings, results, fault, way)


def _compare(settings: Settings, results: Results, fault: Fault, way: Way) -> None:
    spent = _Spent()
    count = 6 if settings.quick else settings.calls
    # A client's retry budget pays for some 35 repetitions in an outage; what comes after is another figure.
    size = count if fault.tries == 1 else _PAID_FOR
    for start in range(0, count, size):
        _batch(settings.seed + start, fault, way, min(size, count - start), spent)
    _tell(results, fault, way, spent)


@dataclass
class _Spent:
    """Milliseconds, by who spent them: from the failure to the second target's first byte, and CPU of a call."""

    switch: dict[str, list[float]] = field(default_factory=lambda: {"httpx": [], "llmswitch": []})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {"httpx": [], "llmswitch": []})


def _batch(seed: int, fault: Fault, way: Way, count: int, spent: _Spent) -> None:
    """So many calls of each, in a process of their own that was warmed up."""
    failed, began = Stamp(), Stamp()
    with _first(fault, failed) as t1, _second(way, began) as t2:
        made = measured(
            {
                "measure": "calls",
                "sync": way.sync,
                "stream": way.stream,
                "seed": seed,
                "order": _order(count, seed),
                "reset": True,
                "pace": 0.0,
                "limits": PATIENT,
                "urls": [t1, t2.url],
                "raw_urls": [t1] * fault.tries + [t2.url],
                "raw_timeouts": [10.0] * (fault.tries + 1),
            }
        )
    assert len(began.moments) == len(made), "every call is answered by the second target, once"
    for (who, start, _, cpu, *_), moment in list(zip(made, began.moments, strict=True))[len(made) - 2 * count :]:
        first = bisect_left(failed.moments, start)
        since = failed.moments[first] if fault.status else start
        spent.switch[who].append((moment - since) * 1000)
        spent.cpu[who].append(cpu * 1000)


def _over(times: dict[str, list[float]]) -> tuple[float, float]:
    """The median of the differences within the pairs, and the difference of the 99th percentiles."""
    pairs = [ours - best for best, ours in zip(times["httpx"], times["llmswitch"], strict=True)]
    return quantile(pairs, 0.50), quantile(times["llmswitch"], 0.99) - quantile(times["httpx"], 0.99)


def _tell(results: Results, fault: Fault, way: Way, spent: _Spent) -> None:
    goals = AT_ONCE if fault.tries == 1 else AFTER_A_RETRY
    half, most = _over(spent.switch)
    best = " / ".join(f"{quantile(spent.switch['httpx'], share):.2f}" for share in (0.50, 0.99))
    goal = "≤ 1 / ≤ 5 ms" if fault.tries == 1 else "+ one retry ≤ 50 ms"
    figure = Figure(
        "failover time over the best possible, p50 / p99",
        fault.name,
        str(way),
        f"{half:+.2f} / {most:+.2f} ms (httpx {best} ms; CPU of a call {_over(spent.cpu)[0]:+.2f} ms)",
        goal,
        half <= goals[0] and most <= goals[1],
    )
    results.add(figure, "ms", spent.switch)
    results.keep("CPU of a call", fault.name, str(way), "ms", spent.cpu)


def _order(count: int, seed: int) -> list[str]:
    """Both take turns, in pairs of a random order, so that whatever else this machine does meets both."""
    chance = random.Random(seed)
    warm_up = ["httpx", "llmswitch"] * (_WARM_UP // 2)
    return warm_up + [who for _ in range(count) for who in chance.sample(["httpx", "llmswitch"], 2)]


@contextmanager
def _first(fault: Fault, failed: Stamp) -> Iterator[str]:
    if not fault.status:
        with refused_port() as port:
            yield f"http://127.0.0.1:{port}"
        return
    with FaultServer([ReadRequest(), failed, Send(response(fault.status, fault.body))]) as server:
        yield server.url


def _second(way: Way, began: Stamp) -> FaultServer:
    answer = sse(streamed()) if way.stream else response(200, completion())
    return FaultServer([ReadRequest(), began, Send(answer)])


# Silence


_FIRST_TOKEN = 0.3
_HANGING: Script = [ReadRequest(), Hang()]


def silent(settings: Settings, results: Results) -> None:
    """A first target that takes the request and says nothing: what that costs each of ten calls in a row."""
    for way in WAYS[:2] if settings.quick else WAYS:
        count = 3 if settings.quick else 10
        # a whole answer has its attempt's time, an even share of the call's
        limits = {**PATIENT, "first_token_timeout": _FIRST_TOKEN - 0.05 * (not way.stream)}
        if not way.stream:
            limits["timeout"] = 2 * _FIRST_TOKEN
        with FaultServer(_HANGING) as t1, _second(way, Stamp()) as t2:
            plan: dict[str, Any] = {
                "measure": "calls",
                "sync": way.sync,
                "stream": way.stream,
                "seed": settings.seed,
                "reset": False,
                "pace": 0.0,
                "limits": limits,
                "urls": [t1.url, t2.url],
                "raw_urls": [t2.url],
                "raw_timeouts": [10.0],
                "order": ["httpx"] * count + ["llmswitch"] * count,
            }
            made = measured(plan)
            asked = len(t1.requests)
        _tell_silence(results, way, made, asked)


def _tell_silence(results: Results, way: Way, made: Sequence[Sequence[Any]], asked: int) -> None:
    spent = {
        who: [(first - start) * 1000 for name, start, first, *_ in made if name == who]
        for who in ("httpx", "llmswitch")
    }
    best = quantile(spent["httpx"], 0.5)
    waited, after = spent["llmswitch"][:asked], spent["llmswitch"][asked:]
    over = [value - _FIRST_TOKEN * 1000 - best for value in waited]
    results.add(
        Figure(
            "a hang, over its time limit and the second target's own time",
            "silence",
            str(way),
            f"{quantile(over, 0.5):+.1f} ms, at most {max(over):+.1f} ms",
            "≤ 20 ms",
            max(over) <= 20,
        ),
        "ms",
        spent,
    )
    results.add(
        Figure(
            "calls that wait for a hanging target before its breaker opens",
            "silence",
            str(way),
            str(asked),
            "1",
            asked == 1,
        )
    )
    if after:
        later = quantile(after, 0.5) - best
        results.add(
            Figure("a call after that, over the second target alone", "silence", str(way), f"{later:+.2f} ms", "0 ms")
        )
