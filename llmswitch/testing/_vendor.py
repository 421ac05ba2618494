"""The vendor's side, played in this process: it reads what was sent as the vendor would, and answers on its wire."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from llmswitch._messages import Part

from ._answers import Answer

__all__ = ["FakeVendor", "Heard", "VendorWire", "cuts"]


@dataclass
class Heard:
    """What a vendor understands of a request. `reasoning` is what the body says of thinking, in the vendor's words."""

    model: str
    messages: list[tuple[str, list[Part]]]
    stream: bool = False
    tools: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    schema: dict[str, Any] | None = None
    json_mode: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning: dict[str, Any] = field(default_factory=dict)


class VendorWire(ABC):
    """
    The other side of a dialect: the mirror image of its adapter, written from the vendor's documentation.

    `options` are the provider's departures, as the adapter has them. `says_filtered`: whether the dialect has a word
    for an answer that a content filter cut.
    """

    content_type = "text/event-stream"
    says_filtered = True
    shows_reasoning = True
    several_calls = True

    def __init__(self, options: Any, capabilities: Any) -> None:
        self.options = options
        self.capabilities = capabilities

    @abstractmethod
    def hear(self, body: dict[str, Any]) -> Heard:
        """What the request says. Raises `AssertionError` where the vendor would refuse its form."""

    @abstractmethod
    def reply(self, answer: Answer) -> dict[str, Any]:
        """The answer in one piece."""

    @abstractmethod
    def stream(self, answer: Answer) -> list[bytes]:
        """The answer as framed events, one entry each."""

    @abstractmethod
    def error(self, status: int, code: str | None, kind: str | None, message: str) -> bytes:
        """The body of a refusal."""

    @abstractmethod
    def stream_error(self, code: str | None, kind: str | None, message: str) -> bytes:
        """The same as an event in a stream that had begun well."""

    def expected(self, answer: Answer) -> Answer:
        """What the caller is to get of this answer: all of it, save what the dialect can't carry."""
        return answer


class _Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in just these pieces."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> Any:
        for chunk in self._chunks:
            yield chunk


class FakeVendor(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """
    An httpx transport that is the vendor. `answer` decides what comes back; `requests` are what came in, with bodies.

    Use it as `Client(…, http_client=FakeVendor(…))`.
    """

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return self.answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


def respond(status: int, content_type: str, chunks: Sequence[bytes]) -> httpx.Response:
    """A response whose body arrives in just these pieces."""
    return httpx.Response(status, headers={"content-type": content_type}, stream=_Chunks(chunks))


def cuts(events: Sequence[bytes], *, seed: int = 0) -> dict[str, list[bytes]]:
    """One stream in the ways in which a network may deliver it: whole, per event, per byte, and at random places."""
    whole = b"".join(events)
    ways = {"whole": [whole], "per_event": list(events), "per_byte": [whole[i : i + 1] for i in range(len(whole))]}
    chooser = random.Random(seed)  # noqa: S311 - repeatable, not secret
    for number in range(3):
        places = sorted(chooser.sample(range(1, len(whole)), min(len(whole) - 1, 1 + number * 9)))
        ways[f"random_{number}"] = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    return ways
