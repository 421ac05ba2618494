"""Anthropic's Messages, from the server's side. Facts: Anthropic's Python SDK 2.12.0, checked 2026-11-27."""

from __future__ import annotations

import uuid
from typing import Any

from llmswitch._errors import CapabilityMismatch, LLMSwitchError
from llmswitch._messages import Reasoning, Text, ToolCall, VendorPart
from llmswitch._reply import ChatReply, FinishReason, Usage

from ._door import Asked, Door, EventWriter, Refusal
from ._failures import cause_of, headers_of, status_of, trail_of
from .messages_request import read_count, read_request
from .messages_stream import MessagesWriter

__all__ = ["MessagesDoor"]

_STOPS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "other": "end_turn",
}
_ERRORS = {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error", 504: "timeout_error"}
_OVERLOADED = 529  # Anthropic's own status, by which the SDK knows its class


class MessagesDoor(Door):
    """Messages: whole answers, and streams of typed events."""

    path = "/messages"

    def read(self, body: Any) -> Asked:
        return read_request(body, self.envelopes)

    def read_count(self, body: Any) -> Asked:
        """The request whose tokens are to be counted, from its JSON. Raises as `read` does."""
        return read_count(body, self.envelopes)

    def reply(self, asked: Asked, reply: ChatReply) -> dict[str, Any]:
        end = _end(reply)
        return {
            **_message(asked),
            **end["delta"],
            "content": _content(reply, self.envelope(reply)),
            "usage": end["usage"],
        }

    def writer(self, asked: Asked) -> EventWriter:
        return MessagesWriter(_message(asked), _end, self.envelope, _failure)

    def refusal(self, error: LLMSwitchError) -> Refusal:
        status = status_of(error)
        return Refusal(_OVERLOADED if status == 503 else status, _failure(error), headers_of(error))


def _message(asked: Asked) -> dict[str, Any]:
    """The message before anything of it came. Its model is the name that the client knows."""
    return {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(Usage()),
    }


def _content(reply: ChatReply, envelope: str | None) -> list[dict[str, Any]]:
    """The blocks. What is opaque is in the first thought's signature, or in a block of its own at the end."""
    blocks: list[dict[str, Any]] = []
    for part in reply.message.parts:
        match part:
            case Text():
                blocks += [{"type": "text", "text": part.text, "citations": None}] if part.text else []
            case Reasoning():
                if part.text:
                    blocks.append({"type": "thinking", "thinking": part.text, "signature": envelope or ""})
                    envelope = None
            case ToolCall():
                blocks.append({"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments})
            case VendorPart():
                continue
            case _:
                raise CapabilityMismatch(f"the answer holds {type(part).__name__}, for which Messages has no block")
    return [*blocks, {"type": "redacted_thinking", "data": envelope}] if envelope else blocks


def _end(reply: ChatReply) -> dict[str, Any]:
    """The event that says why the answer ended, and what it took."""
    delta = {"stop_reason": _STOPS[reply.finish_reason], "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": _usage(reply.usage)}


def _usage(usage: Usage) -> dict[str, Any]:
    """Tokens as Messages counts them: what was cached is no part of `input_tokens`. Unknown ones are 0."""
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    counted: dict[str, Any] = {
        "input_tokens": max((usage.input_tokens or 0) - cached - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens or 0,
    }
    if usage.reasoning_tokens is not None:
        counted["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counted


def _failure(error: LLMSwitchError) -> dict[str, Any]:
    status = status_of(error)
    kind = "overloaded_error" if status == 503 else _ERRORS.get(status, "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": str(cause_of(error))},
        "request_id": error.request_id,
        "llmswitch": trail_of(error),
    }
