"""
OpenAI's Responses, from the server's side. Nothing is kept: the client holds the conversation.

Facts: OpenAI's Python SDK 3.54.0, checked 2026-11-27.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from llmswitch._errors import CapabilityMismatch, LLMSwitchError
from llmswitch._json import dumps
from llmswitch._messages import Reasoning, Text, ToolCall, VendorPart
from llmswitch._reply import ChatReply, FinishReason, Usage

from ._door import Asked, Door, EventWriter, Refusal
from ._failures import failure, headers_of, status_of, trail_of
from .responses_items import call_item, message_item, reasoning_item, refusal_item
from .responses_request import read_request
from .responses_stream import ResponsesWriter

__all__ = ["ResponsesDoor"]

_CUT: Mapping[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesDoor(Door):
    """Responses: whole answers, and streams of typed events."""

    path = "/responses"

    def read(self, body: Any) -> Asked:
        return read_request(body, self.envelopes)

    def reply(self, asked: Asked, reply: ChatReply) -> dict[str, Any]:
        begun = _begun(asked)
        return _ended(begun, reply, _output(reply, begun["id"], self.envelope(reply)))

    def writer(self, asked: Asked) -> EventWriter:
        return ResponsesWriter(_begun(asked), _ended, self.envelope, failure)

    def refusal(self, error: LLMSwitchError) -> Refusal:
        body = {"error": failure(error), "llmswitch": trail_of(error)}
        return Refusal(status_of(error), body, headers_of(error))


def _begun(asked: Asked) -> dict[str, Any]:
    """The response before anything of it came. Its model is the name that the client knows."""
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": asked.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        **asked.said,
    }


def _ended(begun: Mapping[str, Any], reply: ChatReply, output: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same response when it is whole, or was cut."""
    cut = _CUT.get(reply.finish_reason)
    return {
        **begun,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "output": list(output),
        "usage": _usage(reply.usage),
    }


def _output(reply: ChatReply, name: str, envelope: str | None) -> list[dict[str, Any]]:
    """The items. What is opaque is in the first thought, or in one of its own at the end, which says nothing else."""
    items: list[dict[str, Any]] = []
    for part in reply.message.parts:
        index = len(items)
        match part:
            case Text():
                if part.text:
                    write = refusal_item if reply.finish_reason == "refusal" else message_item
                    items.append(write(name, index, part.text))
            case Reasoning():
                if part.text:
                    items.append(reasoning_item(name, index, part.text, envelope))
                    envelope = None
            case ToolCall():
                arguments = part.raw_arguments.strip() or dumps(part.arguments).decode()
                items.append(call_item(name, index, part.id, part.name, arguments))
            case VendorPart():
                continue
            case _:
                raise CapabilityMismatch(f"the answer holds {type(part).__name__}, for which Responses has no item")
    return [*items, reasoning_item(name, len(items), "", envelope)] if envelope else items


def _usage(usage: Usage) -> dict[str, Any]:
    """Tokens as Responses counts them: what was cached is a part of `input_tokens`. Unknown ones are 0."""
    went_in, came_out = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": went_in,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": came_out,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": went_in + came_out,
    }
