"""A protocol of the tests' own, by the contract of the doors: a list of words in, a line of JSON for each event out."""

from __future__ import annotations

import json
from typing import Any

from llmswitch import InvalidRequest, LLMSwitchError, Message, RateLimited, TextDelta
from llmswitch.doors import Asked, Door, Refusal


class SmallWriter:
    """Each event as one line."""

    def begin(self) -> bytes:
        return b"begin\n"

    def event(self, event: Any) -> bytes:
        return f"text {event.text}\n".encode() if isinstance(event, TextDelta) else b""

    def end(self, reply: Any) -> bytes:
        return f"end {reply.finish_reason}\n".encode()

    def failed(self, error: LLMSwitchError) -> bytes:
        return f"failed {type(error).__name__}\n".encode()


class SmallDoor(Door):
    """`{"model": …, "say": …, "stream": …, "options": {…}}`."""

    path = "chat/completions"

    def read(self, body: Any) -> Asked:
        if not isinstance(body, dict) or "say" not in body:
            raise InvalidRequest("say something", field="say")
        if body["say"] == "crash":
            raise ZeroDivisionError("CANARY-prompt")
        message = Message.from_dict({"role": "user", "content": body["say"]})
        return Asked(body.get("model", ""), [message], body.get("options", {}), stream=body.get("stream", False))

    def reply(self, asked: Asked, reply: Any) -> dict[str, Any]:
        return {"text": reply.text, "by": f"{reply.provider}:{reply.model}"}

    def writer(self, asked: Asked) -> SmallWriter:
        return SmallWriter()

    def refusal(self, error: LLMSwitchError) -> Refusal:
        status = 400 if isinstance(error, InvalidRequest) else 429 if isinstance(error, RateLimited) else 502
        trail = [[attempt.target, attempt.error] for attempt in error.attempts]
        return Refusal(status, {"error": type(error).__name__, "message": str(error), "attempts": trail})


def said(response: Any) -> Any:
    """The JSON of an answer."""
    return json.loads(response.content)
