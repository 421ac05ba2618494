"""What an outage costs: requests to a dead target before its breaker opens, and requests per call after that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.wire import Script, answering, refusing
from llmswitch.testing.fault_server import FaultServer, ReadRequest, Reset, refused_port

from .run import WAYS, Figure, Results, Settings, Way, measured
from .times import PATIENT

__all__ = ["breaker", "total"]

_WHOLE = [way for way in WAYS if not way.stream]
_SCRIPTS: dict[str, Script] = {
    "500": refusing(500),
    "503": refusing(503),
    "503, Retry-After: 0": refusing(503, headers={"retry-after": "0"}),
    "reset": [ReadRequest(), Reset()],
}


@dataclass
class _Dead:
    """A target that fails. `server`: `None` where nobody listens, so that nothing but the trail can count."""

    url: str
    server: FaultServer | None = None


@contextmanager
def _dead(fault: str) -> Iterator[_Dead]:
    if fault == "refused":
        with refused_port() as port:
            yield _Dead(f"http://127.0.0.1:{port}")
        return
    with FaultServer(_SCRIPTS[fault]) as server:
        yield _Dead(server.url, server)


def _plan(settings: Settings, way: Way, urls: Sequence[str], **more: Any) -> dict[str, Any]:
    plan = {"sync": way.sync, "stream": False, "seed": settings.seed, "urls": urls, "limits": PATIENT}
    return {**plan, "raw_urls": [], "raw_timeouts": [], "reset": False, **more}


def total(settings: Settings, results: Results) -> None:
    """Every target is dead: requests per call, once the breakers have opened. No call has the time to wait for one."""
    limits = {**PATIENT, "timeout": 1.0}
    seconds, pace = (0.4, 0.01) if settings.quick else (6.0, 0.02)
    for fault in ("500",) if settings.quick else ("500", "503", "refused"):
        for targets in (1, 2):
            for way in _WHOLE[targets - 1 : targets] if settings.quick else _WHOLE:
                with ExitStack() as stack:
                    dead = [stack.enter_context(_dead(fault)) for _ in range(targets)]
                    order = ["llmswitch"] * int(seconds / pace)
                    urls = [each.url for each in dead]
                    made = measured(_plan(settings, way, urls, measure="calls", order=order, pace=pace, limits=limits))
                    heard = sum(len(each.server.requests) for each in dead if each.server is not None)
                _tell_total(results, fault, targets, way, made, heard)


def _tell_total(results: Results, fault: str, targets: int, way: Way, made: list[Any], heard: int) -> None:
    sent = [call[4] for call in made]
    assert heard <= sum(sent), "no request is sent that no trail tells of"
    opening = len(made) // 6
    steady = sum(sent[opening:]) / len(sent[opening:])
    chain = "one target" if targets == 1 else f"{targets} targets"
    results.add(
        Figure(
            "requests per call in a total outage, steady state",
            f"{fault}, {chain}",
            str(way),
            f"{steady:.2f} ({sum(sent[:opening])} requests in the first {opening} calls)",
            "≤ 1.10",
            steady <= 1.10,
        ),
        "requests",
        {"llmswitch": sent},
    )


def breaker(settings: Settings, results: Results) -> None:
    """The first target is dead, the second answers: requests that reach the first before its breaker opens."""
    count, at_once = (24, 4) if settings.quick else (200, 20)
    for fault in ("500", "refused") if settings.quick else ("500", "503", "503, Retry-After: 0", "refused", "reset"):
        for way in _WHOLE[:1] if settings.quick else _WHOLE:
            one = _reached(settings, fault, way, measure="calls", order=["llmswitch"] * count, pace=0.0)
            results.add(
                Figure(
                    f"requests to a dead target in {count} calls, one after the other",
                    fault,
                    str(way),
                    str(one),
                    "≤ 5",
                    one <= 5,
                ),
                "requests",
                {"llmswitch": [one]},
            )
            many = _reached(settings, fault, way, measure="crowd", calls=count, at_once=at_once)
            results.add(
                Figure(
                    f"requests to a dead target in {count} calls, {at_once} at a time",
                    fault,
                    str(way),
                    str(many),
                    f"≤ 5 + {at_once} in flight",
                    many <= 5 + at_once,
                ),
                "requests",
                {"llmswitch": [many]},
            )


def _reached(settings: Settings, fault: str, way: Way, **plan: Any) -> int:
    with _dead(fault) as t1, FaultServer(answering()) as t2:
        made = measured(_plan(settings, way, [t1.url, t2.url], **plan))
        failed = [call[5] for call in made if call[5] is not None]
        assert not failed, f"every call is answered by the second target; {failed[0]}"
        if t1.server is not None:
            return len(t1.server.requests)
        return sum(call[4] - 1 for call in made)
