"""How much memory the worst bodies cost: what the peak of a process grows by, in one call."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.wire import DONE, STOP, Script, answering, completion, text
from llmswitch.testing.fault_server import (
    FaultServer,
    ReadRequest,
    Send,
    SendForever,
    chunk,
    response,
    sse,
    sse_head,
)

from .child import CLEAR_PEAK
from .run import Figure, Results, Settings, measured
from .times import PATIENT

__all__ = ["worst_bodies"]

MIB = 1024 * 1024
BODY_CAP, EVENT_CAP = 64 * MIB, 16 * MIB


@dataclass(frozen=True)
class _Body:
    """One body. `cap`: the limit of llmswitch that it meets. `valid`: it is an answer, so the goal is not about it."""

    name: str
    stream: bool
    cap: int
    script: Callable[[], Script]
    valid: bool = False


@lru_cache(maxsize=1)
def _zeros(size: int) -> bytes:
    """A gzip of so many zero bytes: about a thousandth of it."""
    press = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    packed = [press.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join([*packed, press.flush()])


def _bomb(size: int) -> Callable[[], Script]:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    return lambda: [ReadRequest(), Send(response(200, _zeros(size), headers))]


def _packed_answer() -> Script:
    """An answer that is valid, and just within the limit on bodies."""
    body = json.dumps(completion("x" * (BODY_CAP - 1000))).encode()
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    return [ReadRequest(), Send(response(200, gzip.compress(body, 6), headers))]


def _event(size: int) -> Script:
    return [ReadRequest(), Send(sse([text("x" * size), STOP, DONE]))]


def _endless() -> Script:
    return [ReadRequest(), Send(sse_head()), SendForever(chunk(b"x" * 64 * 1024))]


BODIES = [
    _Body("gzip bomb of 64 MiB", False, BODY_CAP, _bomb(64 * MIB)),
    _Body("gzip bomb of 1 GiB", False, BODY_CAP, _bomb(1024 * MIB)),
    _Body("gzip of an answer of just under 64 MiB", False, BODY_CAP, _packed_answer, valid=True),
    _Body("an event of 50 MB", True, EVENT_CAP, lambda: _event(50_000_000)),
    _Body("an event of just under 16 MiB", True, EVENT_CAP, lambda: _event(EVENT_CAP - 1000), valid=True),
    _Body("an endless line", True, EVENT_CAP, _endless),
]


def worst_bodies(settings: Settings, results: Results) -> None:
    """A first target that answers with each of them, and a second that is healthy."""
    if not CLEAR_PEAK.exists():
        results.add(Figure("growth of the peak memory", "", "", "can be measured on Linux alone"))
        return
    for body in BODIES[::3] if settings.quick else BODIES:
        with FaultServer(body.script()) as t1, FaultServer(answering()) as t2:
            came = measured(
                {
                    "measure": "memory",
                    "stream": body.stream,
                    "limits": PATIENT,
                    "urls": [t1.url, t2.url],
                    "warm_urls": [t2.url],
                }
            )
        grown = came["grown"]
        outcome = came["error"] or "read"
        results.add(
            Figure(
                "growth of the peak memory",
                body.name,
                "sync-stream" if body.stream else "sync-whole",
                f"{grown / MIB:.1f} MiB, {grown / body.cap:.2f} of the limit of {body.cap // MIB} MiB ({outcome})",
                "" if body.valid else "≤ twice the limit",
                None if body.valid else grown <= 2 * body.cap,
            ),
            "bytes",
            {"llmswitch": [grown]},
        )
