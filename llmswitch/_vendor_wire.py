"""
The vendor's side of a dialect: what it understands of a request, and how it writes answers, streams and errors.

It is the mirror image of an adapter. The conformance suite hears through it, and the outage drill speaks through it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ._adapter import HTTPRequest
from ._json import loads
from ._messages import Part, Reasoning, Text, ToolCall
from ._reply import FinishReason, Usage

__all__ = ["Answer", "Heard", "VendorWire", "in_pieces"]

_PIECE = 7  # characters of text, and of arguments, in one event


@dataclass(frozen=True)
class Answer:
    """
    One answer. `needs` names what a provider must be able to do to give it.

    `Reasoning("")` is a thought that the vendor hides, or nothing where the dialect has no form for that.
    """

    parts: tuple[Text | Reasoning | ToolCall, ...]
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=lambda: Usage(input_tokens=11, output_tokens=7))
    needs: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None


@dataclass
class Heard:
    """
    What a vendor understands of a request. `reasoning` is what the body says of thinking, in the vendor's words;
    `prefill`, whether the last message is to be gone on with.

    In `messages`, `Reasoning` is a thought that came back; `opaque` is what nobody but the vendor understands, each
    with the number of its message, as JSON.
    """

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
    prefill: bool = False
    opaque: list[tuple[int, Any]] = field(default_factory=list)


def in_pieces(text: str) -> list[str]:
    """A text as a vendor streams it: a few characters in each event."""
    return [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]


class VendorWire(ABC):
    """
    The other side of a dialect: the mirror image of its adapter, written from the vendor's documentation.

    `options` are the provider's departures, as the adapter has them. `says_filtered`: whether the dialect has a word
    for an answer that a content filter cut. `takes_image_urls`: whether the vendor fetches images. `joins_text`:
    several texts of one message arrive as one. `parts_calls`: calls that were made at once come one after another, each
    with its result. `keeps_thoughts`: with which turns they are taken back. `seal` is written into all that is opaque,
    and nothing opaque without it is taken back; `seals_thoughts`: no thought is; `sealed_by_model`: each model has a
    seal of its own.
    """

    content_type = "text/event-stream"
    says_filtered = True
    shows_reasoning = True
    several_calls = True
    joins_text = False
    parts_calls = False
    takes_image_urls = True
    keeps_thoughts: Literal["never", "with_calls", "always"] = "never"
    seal = "c2VhbA"
    seals_thoughts = False
    sealed_by_model = False

    def __init__(self, options: Any, capabilities: Any) -> None:
        self.options = options
        self.capabilities = capabilities

    @abstractmethod
    def hear(self, body: dict[str, Any]) -> Heard:
        """What the request says. Raises `AssertionError` where the vendor would refuse its form."""

    def hear_request(self, request: HTTPRequest) -> Heard:
        """What the whole request says, for a vendor who reads its path and its headers (in lower case) too."""
        return self.hear(loads(request.body))

    def asks_stream(self, request: HTTPRequest) -> bool:
        """Whether the request asks for a stream."""
        return bool(loads(request.body).get("stream"))

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
