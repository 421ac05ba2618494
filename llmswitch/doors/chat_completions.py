"""
OpenAI's Chat Completions, from the server's side.

Facts: OpenAI's Python SDK 3.54.0, checked 2026-11-27. Thoughts stand in `reasoning_content`, as at most copies.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from llmswitch._errors import CapabilityMismatch, LLMSwitchError
from llmswitch._json import dumps
from llmswitch._messages import Reasoning, Text, ToolCall, VendorPart
from llmswitch._reply import ChatReply, FinishReason, Usage

from ._door import Asked, Door, EventWriter, Refusal
from ._failures import attempts_of, failure, headers_of, status_of, trail_of
from .chat_completions_request import ENVELOPE, read_request
from .chat_completions_stream import ChatCompletionsWriter

__all__ = ["ChatCompletionsDoor"]

_REASONS: Mapping[FinishReason, str] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


class ChatCompletionsDoor(Door):
    """Chat Completions: whole answers, and streams of chunks."""

    path = "/chat/completions"

    def read(self, body: Any) -> Asked:
        return read_request(body, self.envelopes)

    def reply(self, asked: Asked, reply: ChatReply) -> dict[str, Any]:
        choice = {
            "index": 0,
            "message": _message(reply, self.envelope(reply)),
            "finish_reason": _reason(reply),
            "logprobs": None,
        }
        return {
            **_begun(asked, "chat.completion"),
            "choices": [choice],
            "usage": _usage(reply.usage),
            "llmswitch": _told(reply),
        }

    def writer(self, asked: Asked) -> EventWriter:
        usage = (lambda reply: _usage(reply.usage)) if asked.said.get("include_usage") else None
        return ChatCompletionsWriter(_begun(asked, "chat.completion.chunk"), self._last, usage, failure)

    def refusal(self, error: LLMSwitchError) -> Refusal:
        return Refusal(status_of(error), {"error": failure(error), "llmswitch": trail_of(error)}, headers_of(error))

    def _last(self, reply: ChatReply) -> tuple[dict[str, Any], str]:
        envelope = self.envelope(reply)
        return ({ENVELOPE: envelope} if envelope else {}), _reason(reply)


def _begun(asked: Asked, kind: str) -> dict[str, Any]:
    """What every object of an answer has. Its model is the name that the client knows."""
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": asked.model}


def _reason(reply: ChatReply) -> str:
    return _REASONS.get(reply.finish_reason, "stop")


def _message(reply: ChatReply, envelope: str | None) -> dict[str, Any]:
    """The whole message: text and calls, with what a client carries for us beside them."""
    refused = reply.finish_reason == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": reply.text if reply.text and not refused else None,
        "refusal": reply.text if refused else None,
    }
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    calls = []
    for part in reply.message.parts:
        match part:
            case ToolCall():
                arguments = part.raw_arguments.strip() or dumps(part.arguments).decode()
                function = {"name": part.name, "arguments": arguments}
                calls.append({"id": part.id, "type": "function", "function": function})
            case Text() | Reasoning() | VendorPart():
                continue
            case _:
                raise CapabilityMismatch(f"the answer holds {type(part).__name__}, which has no place here")
    if calls:
        message["tool_calls"] = calls
    return {**message, ENVELOPE: envelope} if envelope else message


def _told(reply: ChatReply) -> dict[str, Any]:
    """Who answered, and what led there."""
    return {
        "target": f"{reply.provider}:{reply.model}",
        "attempts": attempts_of(reply.attempts),
        "cost": str(reply.cost) if reply.cost is not None else None,
        "warnings": [{"code": warning.code, "message": warning.message} for warning in reply.warnings],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    """Tokens as Chat Completions counts them: what was cached is a part of the prompt's. Unknown ones are 0."""
    went_in, came_out = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "prompt_tokens": went_in,
        "completion_tokens": came_out,
        "total_tokens": went_in + came_out,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }
