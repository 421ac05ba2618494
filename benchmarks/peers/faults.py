"""The faults that every library meets: what the first target does, and what a caller may expect of a chain then."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from benchmarks.peers.asking import GIVEN_UP
from benchmarks.wire import DONE, JSON, ROLE, STOP, Script, completion, refusing, spelled, words
from llmswitch.testing.fault_server import (
    Close,
    Connection,
    FaultServer,
    Hang,
    Pause,
    ReadRequest,
    Reset,
    Send,
    SendForever,
    SendSlowly,
    Step,
    black_hole,
    chunk,
    refused_port,
    response,
    sse,
    sse_head,
)

__all__ = ["FAULTS", "FROM_T1", "MIB", "Expected", "Fault", "port_of"]

MIB = 1024 * 1024
FROM_T1 = "the answer of T1"

# answer       the second target's answer, and nothing else
# interrupted  an error, after the text that had arrived and no other
# either       an answer of either target: the first is well again
Expected: TypeAlias = Literal["answer", "interrupted", "either"]


@dataclass(frozen=True)
class Fault:
    """
    One fault. `row`: its row in the fault table that the tests follow. `script`: what the first target does, given the
    sink's URL; `None` where `place` stands for it. `partial`: the text that arrives before it breaks. `calls`: so many
    are made, one after the other; `cancelled`: after so many that were given up. `lasting`: the fault is a declared
    fact, so what the second call sends to the first target counts. `heavy`: what it costs in memory is told.
    """

    name: str
    row: str
    script: Callable[[str], tuple[Script, ...]] | None
    whole: bool = True
    stream: bool = True
    expected: Expected = "answer"
    partial: str = ""
    calls: int = 1
    cancelled: int = 0
    lasting: bool = False
    heavy: bool = False
    place: Callable[[], AbstractContextManager[int]] | None = None

    @contextmanager
    def first(self, sink: str) -> Iterator[FaultServer | str]:
        """The first target, for one task."""
        if self.place is not None:
            with self.place() as port:
                yield f"http://127.0.0.1:{port}"
            return
        assert self.script is not None
        with FaultServer(*self.script(sink)) as server:
            yield server


def port_of(first: FaultServer | str) -> str:
    """Its URL."""
    return first if isinstance(first, str) else first.url


def _plays(*scripts: Script) -> Callable[[str], tuple[Script, ...]]:
    return lambda _: scripts


def _events(*events: JSON | str | bytes, ended: bool = True) -> bytes:
    return sse(events, ended=ended)


def _error(message: str, code: str | None, kind: str = "error") -> JSON:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_CUT_BODY = '{"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"role": "assis'
_JSON_HEAD = response(200, b"", {"content-type": "application/json", "content-length": ""})
_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>" + "x" * 5000 + "</body></html>"
_CUT = b'data: {"choices": [{"index": 0, "delta": {"content": "w0 \n\n'
_OVERLOADED = _error("The engine is currently overloaded", "engine_overloaded", "server_error")
_COUNTRY = _error("Country, region, or territory not supported", "unsupported_country_region_territory")
_FAILED = _error("The server had an error", None)
_QUOTA = _error("You exceeded your current quota", "insufficient_quota", "insufficient_quota")


@dataclass(frozen=True)
class HangOrAnswer(Step):
    """Silence for the calls that will be given up, an answer for others."""

    def play(self, connection: Connection) -> None:
        if connection.request is not None and GIVEN_UP.encode() in connection.request.body:
            connection.idle()
        connection.send(response(200, completion(FROM_T1)))


def _redirects(sink: str) -> tuple[Script, ...]:
    return (refusing(307, b"", {"location": f"{sink}/v1/chat/completions"}),)


def _bomb(_: str) -> tuple[Script, ...]:
    press = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    body = b"".join([*(press.compress(bytes(MIB)) for _ in range(256)), press.flush()])
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    return ([ReadRequest(), Send(response(200, body, headers))],)


def _huge(_: str) -> tuple[Script, ...]:
    return ([ReadRequest(), Send(_events("x" * 50_000_000, STOP, DONE))],)


def _refuses(status: int, body: JSON | str = "", **headers: str) -> Callable[[str], tuple[Script, ...]]:
    return _plays(refusing(status, body, {name.replace("_", "-"): value for name, value in headers.items()}))


FAULTS: list[Fault] = [
    # Nobody there
    Fault("connection refused", "4", None, place=refused_port),
    Fault("black hole: no SYN is answered", "5", None, place=black_hole),
    # No answer begins
    Fault("RST before headers", "8", _plays([ReadRequest(), Reset()])),
    Fault("EOF before headers", "10", _plays([ReadRequest(), Close()])),
    Fault(
        "RST after headers, before any event",
        "11",
        _plays([ReadRequest(), Send(sse_head()), Pause(0.03), Reset()]),
        whole=False,
    ),
    Fault(
        "headers that drip, a byte each 80 ms",
        "12",
        _plays([ReadRequest(), SendSlowly(response(200, completion(FROM_T1)), every=0.08)]),
    ),
    Fault("the request is read, then silence", "22", _plays([ReadRequest(), Hang()])),
    Fault("headers 200, then silence", "22", _plays([ReadRequest(), Send(sse_head()), Hang()]), whole=False),
    Fault(
        "heart-beats alone, for ever",
        "23",
        _plays([ReadRequest(), Send(sse_head()), SendForever(chunk(b": ping\n\n"), every=0.1)]),
        whole=False,
    ),
    Fault(
        "blank lines alone, for ever",
        "24",
        _plays([ReadRequest(), Send(_JSON_HEAD), SendForever(b"\n", every=0.1)]),
        stream=False,
    ),
    # A stream breaks
    Fault("an error event first, in a 200", "34", _plays([ReadRequest(), Send(_events(_OVERLOADED))]), whole=False),
    Fault(
        "a role chunk, then an error event",
        "25",
        _plays([ReadRequest(), Send(_events(ROLE, _OVERLOADED, DONE))]),
        whole=False,
    ),
    Fault(
        "the first event is broken JSON",
        "32",
        _plays([ReadRequest(), Send(_events(_CUT, *words(10, 1), STOP, DONE))]),
        whole=False,
    ),
    Fault(
        "stall after 20 tokens",
        "26",
        _plays([ReadRequest(), Send(_events(ROLE, *words(20), ended=False)), Hang()]),
        whole=False,
        expected="interrupted",
        partial=spelled(20),
    ),
    Fault(
        "RST after 40 of 60 tokens",
        "27",
        _plays([ReadRequest(), Send(_events(ROLE, *words(40), ended=False)), Pause(0.1), Reset()]),
        whole=False,
        expected="interrupted",
        partial=spelled(40),
    ),
    Fault(
        "clean end after 40 tokens, no finish",
        "28",
        _plays([ReadRequest(), Send(_events(ROLE, *words(40)))]),
        whole=False,
        expected="interrupted",
        partial=spelled(40),
    ),
    Fault(
        "[DONE] after 40 tokens, no finish",
        "30",
        _plays([ReadRequest(), Send(_events(ROLE, *words(40), DONE))]),
        whole=False,
        expected="interrupted",
        partial=spelled(40),
    ),
    Fault(
        "an error event after 20 tokens",
        "33",
        _plays([ReadRequest(), Send(_events(ROLE, *words(20), _OVERLOADED, DONE))]),
        whole=False,
        expected="interrupted",
        partial=spelled(20),
    ),
    Fault(
        "broken JSON after 20 tokens, then the rest",
        "32",
        _plays([ReadRequest(), Send(_events(ROLE, *words(20), _CUT, *words(10, 21), STOP, DONE))]),
        whole=False,
        expected="interrupted",
        partial=spelled(20),
    ),
    # Bodies that are none
    Fault("a web page with 200", "57", _refuses(200, _PAGE, content_type="text/html")),
    Fault("an error in a body with 200", "59", _refuses(200, _QUOTA)),
    Fault("an empty body with 200", "60", _refuses(200, "", content_type="application/json")),
    Fault(
        "cut JSON of the right length", "61", _refuses(200, _CUT_BODY, content_type="application/json"), stream=False
    ),
    Fault("a first event of 50 MB, no JSON", "52", _huge, whole=False, heavy=True),
    Fault("a gzip bomb of 256 MiB", "54", _bomb, stream=False, heavy=True),
    # Refusals
    *(
        Fault(name, row, _refuses(status, body, **headers), calls=2, lasting=True)
        for name, row, status, body, headers in (
            ("429, Retry-After: 20", "66", 429, _error("slow down", "rate_limit_exceeded"), {"retry_after": "20"}),
            ("429 insufficient_quota", "70", 429, _QUOTA, {}),
            ("402", "70", 402, _error("Insufficient balance", None), {}),
            ("401", "72", 401, _error("Incorrect API key provided", "invalid_api_key"), {}),
            ("403, region", "73", 403, _COUNTRY, {}),
            ("404, model", "74", 404, _error("The model does not exist", "model_not_found"), {}),
        )
    ),
    Fault("500", "79", _refuses(500, _FAILED)),
    Fault("503", "79", _refuses(503, _error("Service unavailable", None))),
    Fault("529", "79", _refuses(529, _error("Overloaded", "overloaded_error"))),
    Fault("307 to another origin", "80", _redirects),
    # Many calls
    Fault(
        "500, twenty calls in a row",
        "79",
        _refuses(500, _FAILED),
        stream=False,
        calls=20,
    ),
    Fault(
        "300 calls given up, then one",
        "92",
        _plays([ReadRequest(), HangOrAnswer()]),
        stream=False,
        expected="either",
        cancelled=300,
    ),
]
