"""What the made-up vendors answer: for every way to be well or ill, the steps by which its answer arrives."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from llmswitch._json import dumps, loads
from llmswitch._messages import Text
from llmswitch._reply import Usage
from llmswitch._target import Target
from llmswitch._wire import Fault, FaultKind, Open, Opened
from llmswitch.providers.openai_wire import ChatCompletionsWire
from llmswitch.testing import Answer

# After so many seconds this comes. Where the steps end, nothing comes any more.
Step: TypeAlias = tuple[float, Opened | bytes | Fault]
Steps: TypeAlias = Iterator[Step]

_SSE = {"content-type": "text/event-stream"}
_JSON = {"content-type": "application/json"}


@dataclass
class Served:
    """One request that reached a vendor. `sent` is the text that a caller can have seen; `whole`: the answer ended."""

    target: str
    at: float
    condition: str
    stream: bool
    text: str = ""
    sent: str = ""
    whole: bool = False


@dataclass
class Asked:
    """
    What a condition has to know: the request, what is to be said, a die, words to throw in, and whether this call
    asked this target before.
    """

    action: Open
    served: Served
    rng: random.Random
    echo: str = ""
    again: bool = False

    @property
    def answer(self) -> Answer:
        return Answer((Text(self.served.text),), usage=Usage(input_tokens=3, output_tokens=5))

    @property
    def wire(self) -> ChatCompletionsWire:
        return wire(self.action.target)

    def pieces(self, data: bytes) -> list[bytes]:
        """The bytes as a network may cut them."""
        places = sorted(self.rng.sample(range(1, len(data)), min(self.rng.randint(0, 4), len(data) - 1)))
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def wire(target: Target) -> ChatCompletionsWire:
    return ChatCompletionsWire(target.adapter.options, target.adapter.capabilities)


def said(events: list[bytes]) -> str:
    """The text of these events, read without the code that is tested."""
    text = ""
    for event in events:
        if event.startswith(b"data: {"):
            for choice in loads(event[6:])["choices"]:
                text += choice["delta"].get("content") or ""
    return text


# Well


def well(asked: Asked) -> Steps:
    """An answer, quick enough for every limit of a test."""
    served, rng = asked.served, asked.rng
    if served.stream:
        yield rng.uniform(0.0, 0.2), Opened(200, _SSE)
        body = b"".join(asked.wire.stream(asked.answer))
    else:
        yield rng.uniform(0.0, 0.4), Opened(200, _JSON)
        body = dumps(asked.wire.reply(asked.answer))
    served.sent, served.whole = served.text, True
    for piece in asked.pieces(body):
        yield rng.uniform(0.0, 0.03), piece
    yield 0.0, b""


# Ill before the first word


def fault(kind: FaultKind, delay: float = 0.001) -> Callable[[Asked], Steps]:
    def steps(_asked: Asked) -> Steps:
        yield delay, Fault(kind, "made up")  # what the HTTP library says is scrubbed by the driver

    return steps


def stale(asked: Asked) -> Steps:
    """A kept connection had died; a fresh one is well."""
    yield from well(asked) if asked.again else fault("stale")(asked)


def black_hole(asked: Asked) -> Steps:
    """Nobody takes the connection."""
    yield asked.action.connect, Fault("connect", "timed out")


def silent(asked: Asked) -> Steps:
    """The connection stands, no headers come."""
    yield from ()


def silent_after_headers(asked: Asked) -> Steps:
    yield 0.01, Opened(200, _SSE if asked.served.stream else _JSON)


def heartbeats(asked: Asked) -> Steps:
    """Comments or blank lines, for ever."""
    yield 0.01, Opened(200, _SSE if asked.served.stream else _JSON)
    while True:
        yield 5.0, b": still here\n\n" if asked.served.stream else b"\n"


def refusal(
    status: int, message: str, headers: Mapping[str, str] | None = None, **error: Any
) -> Callable[[Asked], Steps]:
    """A refusal with this status and these words."""

    def steps(asked: Asked) -> Steps:
        said_error = {"message": f"{message} {asked.echo}".strip(), **error}
        yield 0.005, Opened(status, {**_JSON, **(headers or {})})
        yield 0.0, dumps({"error": said_error})
        yield 0.0, b""

    return steps


def rate_limited(asked: Asked) -> Steps:
    """429 with a wait that the vendor chose."""
    return refusal(429, "slow down", {"retry-after": str(asked.rng.choice([1, 3, 20]))})(asked)


def body(status: int, content_type: str, content: bytes) -> Callable[[Asked], Steps]:
    """Just these bytes."""

    def steps(asked: Asked) -> Steps:
        yield 0.005, Opened(status, {"content-type": content_type})
        if content:
            yield 0.0, content.replace(b"ECHO", asked.echo.encode())
        yield 0.0, b""

    return steps


def cut_before(asked: Asked) -> Steps:
    """The preamble, and then the end of the connection; of a whole answer, half."""
    yield 0.01, Opened(200, _SSE if asked.served.stream else _JSON)
    if asked.served.stream:
        yield 0.01, b"".join(asked.wire.stream(asked.answer)[:2])
    else:
        whole = dumps(asked.wire.reply(asked.answer))
        yield 0.01, whole[: asked.rng.randrange(1, len(whole) - 1)]
    yield 0.01, Fault("broken", "reset") if asked.rng.random() < 0.5 else b""


def error_first(asked: Asked) -> Steps:
    """A 200 that turns out to be an error."""
    yield 0.01, Opened(200, _SSE if asked.served.stream else _JSON)
    words = f"the server is overloaded {asked.echo}".strip()
    if asked.served.stream:
        yield 0.0, asked.wire.stream(asked.answer)[1] + asked.wire.stream_error("overloaded_error", None, words)
    else:
        yield 0.0, asked.wire.error(200, "overloaded_error", None, words)
    yield 0.0, b""


# Ill after it. A whole answer has no such place: there, all that comes late comes before the caller saw any of it.


def broken_after(asked: Asked, *, end: bytes | Fault | None) -> Steps:
    """Some of the words, and then an end that is none; `None` is silence."""
    if not asked.served.stream:
        yield from cut_before(asked)
        return
    events = asked.wire.stream(asked.answer)
    first = next(number for number, event in enumerate(events) if said([event]))
    last = next(number for number, event in enumerate(events) if b'"finish_reason":"' in event)
    sent = events[: asked.rng.randint(first + 1, last)]
    asked.served.sent = said(sent)
    yield 0.01, Opened(200, _SSE)
    for piece in asked.pieces(b"".join(sent)):
        yield asked.rng.uniform(0.0, 0.05), piece
    if end is not None:
        yield 0.01, end


def cut_after(asked: Asked) -> Steps:
    return broken_after(asked, end=Fault("broken", "reset"))


def end_after(asked: Asked) -> Steps:
    """A clean end of the body, without the word that the answer is whole."""
    return broken_after(asked, end=b"")


def silent_after(asked: Asked) -> Steps:
    return broken_after(asked, end=None)


def error_after(asked: Asked) -> Steps:
    return broken_after(
        asked, end=asked.wire.stream_error("overloaded_error", None, f"overloaded {asked.echo}".strip())
    )


Condition: TypeAlias = Callable[[Asked], Steps]

# A statistic: the breaker's matter.
UNWELL: Mapping[str, Condition] = {
    "refused": fault("connect"),
    "black_hole": black_hole,
    "reset": fault("broken"),
    "not_http": fault("garbage"),
    "server_error": refusal(500, "it went wrong"),
    "bad_gateway": body(502, "text/html", b"<html>bad gateway ECHO</html>"),
    "silent": silent,
    "silent_after_headers": silent_after_headers,
    "heartbeats": heartbeats,
    "web_page": body(200, "text/html", b"<!DOCTYPE html><html>sign in ECHO</html>"),
    "nothing": body(200, "application/json", b""),
    "no_answer": body(200, "application/json", b'{"choices": [], "echo": "ECHO"}'),
    "not_json": body(200, "application/json", b'{"choices": [{"ECHO'),
    "redirect": body(307, "text/html", b"ECHO"),
    "cut_before": cut_before,
}
# Both: it declares that it is overloaded.
OVERLOADED: Mapping[str, Condition] = {
    "overloaded": refusal(503, "overloaded"),
    "overloaded_for_a_while": refusal(529, "overloaded", {"retry-after": "2"}),
    "error_first": error_first,
}
# A fact: the cool-down's matter.
DECLARED: Mapping[str, Condition] = {
    "rate_limited": rate_limited,
    "rate_limited_somehow": refusal(429, "slow down"),
    "quota": refusal(429, "you have reached your daily limit"),
    "arrears": refusal(402, "payment required"),
    "no_money": refusal(429, "insufficient_quota: you exceeded your current quota", code="insufficient_quota"),
    "wrong_key": refusal(401, "no such key"),
    "forbidden": refusal(403, "not for you"),
    "model_gone": refusal(404, "no such model"),
    "region": refusal(451, "not in your country"),
    "bad_certificate": fault("tls"),
}
BEFORE: Mapping[str, Condition] = {**UNWELL, **OVERLOADED, **DECLARED, "stale": stale}
AFTER: Mapping[str, Condition] = {
    "cut_after": cut_after,
    "end_after": end_after,
    "silent_after": silent_after,
    "error_after": error_after,
}
CONDITIONS: Mapping[str, Condition] = {"well": well, **BEFORE, **AFTER}


@dataclass
class Weather:
    """What a vendor is like over time: from each moment on, one condition, until the next."""

    changes: list[tuple[float, str]] = field(default_factory=lambda: [(float("-inf"), "well")])

    def at(self, now: float) -> str:
        return next(name for since, name in reversed(self.changes) if since <= now)

    def well_during(self, start: float, end: float) -> bool:
        """Whether nothing is wrong between these times."""
        return self.at(start) == "well" and all(name == "well" for since, name in self.changes if start < since <= end)

    @classmethod
    def drawn(cls, rng: random.Random, start: float, end: float, kinds: list[str], *, well_for: float) -> Weather:
        """Well and ill by turns, for about `well_for` seconds well and a third of that ill."""
        now, changes = start, [(float("-inf"), rng.choice(["well", rng.choice(kinds)]))]
        while now < end:
            ill = changes[-1][1] == "well"
            now += rng.expovariate(1 / well_for if ill else 3 / well_for)
            changes.append((now, rng.choice(kinds) if ill else "well"))
        return cls(changes)
