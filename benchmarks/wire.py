"""What a server of the Chat Completions dialect says, as the bytes and the scripts of a `FaultServer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeAlias

from llmswitch.testing.fault_server import Connection, ReadRequest, Received, Respond, Step, response, sse

__all__ = [
    "DONE",
    "HEALTHY",
    "JSON",
    "ROLE",
    "STOP",
    "Script",
    "Stamp",
    "answering",
    "completion",
    "delta",
    "refusing",
    "spelled",
    "streamed",
    "text",
    "words",
]

JSON: TypeAlias = dict[str, Any]
Script: TypeAlias = Sequence[Step]

HEALTHY = "the answer of T2"
DONE = "[DONE]"


def delta(fields: JSON | None = None, finish_reason: str | None = None) -> JSON:
    """One chunk of a stream."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": "m",
        "choices": [{"index": 0, "delta": fields or {}, "finish_reason": finish_reason}],
    }


def text(piece: str) -> JSON:
    """One chunk with a piece of text."""
    return delta({"content": piece})


ROLE = delta({"role": "assistant", "content": ""})
STOP = delta({}, "stop")
USAGE: JSON = {**delta(), "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}


def words(number: int, start: int = 0) -> list[JSON]:
    """So many chunks, a word each; `spelled` is their text."""
    return [text(f"w{index} ") for index in range(start, start + number)]


def spelled(number: int) -> str:
    """The text of `words`."""
    return "".join(f"w{index} " for index in range(number))


def completion(content: str = HEALTHY) -> JSON:
    """A whole answer."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


def streamed(content: str = HEALTHY) -> list[JSON | str]:
    """A whole stream, cut into words."""
    return [ROLE, *(text(piece) for piece in content.replace(" ", " \0").split("\0")), STOP, USAGE, DONE]


def answering(content: str = HEALTHY) -> Script:
    """The script of a server that answers every request, as a stream where that was asked for."""
    whole, stream = response(200, completion(content)), sse(streamed(content))

    def answer(request: Received) -> bytes:
        return stream if b'"stream": true' in request.body or b'"stream":true' in request.body else whole

    return [ReadRequest(), Respond(answer)]


def refusing(status: int, body: JSON | str | bytes = b"", headers: Any = ()) -> Script:
    """The script of a server that refuses every request."""
    answer = response(status, body, headers)
    return [ReadRequest(), Respond(lambda _: answer)]


@dataclass(frozen=True)
class Stamp(Step):
    """Note the moment, in seconds of the monotonic clock, which all processes of a machine share."""

    moments: list[float] = field(default_factory=list)

    def play(self, connection: Connection) -> None:  # noqa: ARG002 - a step is given it
        self.moments.append(monotonic())
