"""The conversation in the shape of DashScope's native API, where a part has no `type`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmswitch._adapter import ModelIdentity
from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import Audio, Image, Message, Part, Reasoning, Text, ToolResult, VendorPart
from llmswitch._request import ChatRequest
from llmswitch.providers.json_in_words import json_instruction
from llmswitch.providers.openai_messages import call_arguments

if TYPE_CHECKING:
    from llmswitch.providers.dashscope_native import DashScopeOptions

__all__ = ["build_messages", "is_multimodal"]


def is_multimodal(request: ChatRequest, options: DashScopeOptions) -> bool:
    """Whether the request goes to the models that take more than text, whose messages are lists of parts."""
    if options.multimodal != "auto":
        return options.multimodal == "always"
    return any(isinstance(part, (Image, Audio)) for message in request.messages for part in message.parts)


def build_messages(request: ChatRequest, options: DashScopeOptions, identity: ModelIdentity) -> list[dict[str, Any]]:
    """
    The messages as they go over the wire. What is blank is left out, and so is what another vendor thought.

    Raises `CapabilityMismatch` where nothing is left.
    """
    parted = is_multimodal(request, options)
    out: list[dict[str, Any]] = []
    instruction = json_instruction(request)
    if instruction:
        out.append({"role": "system", "content": _content([Text(instruction)], parted=parted)})
    for message in request.messages:
        if message.role == "tool":
            out += [_result(part, parted=parted) for part in message.parts if isinstance(part, ToolResult)]
        else:
            written = _message(message, options, identity, parted=parted)
            out += [written] if written is not None else []
    if all(message["role"] == "system" for message in out):
        raise CapabilityMismatch("messages: besides system messages there is nothing to answer here, or it is blank")
    return out


def _message(
    message: Message, options: DashScopeOptions, identity: ModelIdentity, *, parted: bool
) -> dict[str, Any] | None:
    said = [part for part in message.parts if not isinstance(part, Text) or part.text.strip()]
    if all(isinstance(part, (Reasoning, VendorPart)) for part in said):
        return None
    out: dict[str, Any] = {"role": message.role, "content": _content(message.parts, parted=parted)}
    if message.role == "assistant":
        own = [part for part in message.parts if isinstance(part, Reasoning) and identity.wrote(part.vendor)]
        thoughts = "".join(part.text for part in own)
        if thoughts and options.reasoning_replay == "optional":
            out["reasoning_content"] = thoughts
        if message.tool_calls:
            out["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call_arguments(call)},
                }
                for call in message.tool_calls
            ]
    return out


def _content(parts: Sequence[Part], *, parted: bool) -> str | list[dict[str, Any]]:
    if not parted:
        return "".join(part.text for part in parts if isinstance(part, Text))
    return [_part(part) for part in parts if isinstance(part, (Image, Audio)) or (isinstance(part, Text) and part.text)]


def _part(part: Text | Image | Audio) -> dict[str, Any]:
    match part:
        case Text():
            return {"text": part.text}
        case Image():
            return {"image": part.data_url}
        case Audio():
            return {"audio": part.data_url}
    raise CapabilityMismatch(f"{type(part).__name__}: this model does not take it")


def _result(result: ToolResult, *, parted: bool) -> dict[str, Any]:
    text = "".join(part.text for part in result.parts if isinstance(part, Text))
    said = [Text(f"Error: {text}" if result.is_error else text)]
    return {"role": "tool", "tool_call_id": result.tool_call_id, "content": _content(said, parted=parted)}
