"""The conversation as Tencent's native API wants it: turns by turns, and every name in PascalCase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import Image, Text
from llmswitch._request import ChatRequest
from llmswitch.providers.openai_messages import call_arguments
from llmswitch.providers.strict_turns import Conversation, Turn, take_turns, text_of

if TYPE_CHECKING:
    from llmswitch.providers.tencent_native import TencentOptions

__all__ = ["build_messages", "converse"]


def converse(request: ChatRequest, options: TencentOptions) -> Conversation:
    """The conversation in turns. Raises `CapabilityMismatch` where there are more than the vendor takes."""
    conversation = take_turns(request.messages, filler=options.filler, one_call=False)
    most = options.max_messages - bool(conversation.system)
    if len(conversation.turns) > most:
        raise CapabilityMismatch(f"messages: {len(conversation.turns)} turns, and this vendor takes {most}")
    return conversation


def build_messages(conversation: Conversation, options: TencentOptions) -> list[dict[str, Any]]:
    """The messages as they go over the wire."""
    system = [{"Role": "system", "Content": conversation.system}] if conversation.system else []
    return [*system, *(_message(turn, options) for turn in conversation.turns)]


def _message(turn: Turn, options: TencentOptions) -> dict[str, Any]:
    if turn.result is not None:
        return {"Role": "tool", "ToolCallId": turn.result.tool_call_id, "Content": text_of(turn.result, options.filler)}
    message: dict[str, Any] = {"Role": turn.role}
    if turn.images:
        message["Contents"] = _contents(turn, options)
    else:
        message["Content"] = turn.text
    if turn.calls:
        message["ToolCalls"] = [
            {"Id": call.id, "Type": "function", "Function": {"Name": call.name, "Arguments": call_arguments(call)}}
            for call in turn.calls
        ]
    return message


def _contents(turn: Turn, options: TencentOptions) -> list[dict[str, Any]]:
    """Parts; neighbouring texts are one. At least one has to be text."""
    out: list[dict[str, Any]] = []
    for piece in turn.pieces:
        if isinstance(piece, Image):
            out.append({"Type": "image_url", "ImageUrl": {"Url": piece.data_url}})
        elif isinstance(piece, Text) and out and out[-1]["Type"] == "text":
            out[-1]["Text"] += piece.text
        elif isinstance(piece, Text) and piece.text.strip():
            out.append({"Type": "text", "Text": piece.text})
    return out if turn.text.strip() else [*out, {"Type": "text", "Text": options.filler}]
