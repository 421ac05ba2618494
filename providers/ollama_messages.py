"""The conversation in the shape of Ollama: text is one string, pictures stand beside it, arguments are an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmswitch._adapter import ModelIdentity
from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import Audio, Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from llmswitch._request import ChatRequest
from llmswitch.providers.tool_ids import ToolIds, WireIds

__all__ = ["build_messages"]


def build_messages(request: ChatRequest, identity: ModelIdentity) -> list[dict[str, Any]]:
    """
    The messages as they go over the wire. What is blank is left out, and so is what another vendor thought.

    Raises `CapabilityMismatch` that names the message for content that the dialect has no field for, and where nothing
    is left: a request without messages loads the model, and that is all.
    """
    out: list[dict[str, Any]] = []
    calls = _Calls()
    for index, message in enumerate(request.messages):
        where = f"messages[{index}]"
        if message.role == "tool":
            out += [_result(part, calls, where) for part in message.parts if isinstance(part, ToolResult)]
            continue
        written = _message(message, identity, calls, where)
        out += [written] if written is not None else []
    if not out:
        raise CapabilityMismatch("messages: all of them are blank, so there is nothing to answer")
    return out


class _Calls:
    """The calls of one request by their ids on the wire, each with its name: a result is known by both."""

    def __init__(self) -> None:
        self._ids = WireIds(ToolIds())
        self._names: dict[str, str] = {}

    def write(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """The calls of one message."""
        self._ids.new_turn()
        out: list[dict[str, Any]] = []
        for call in calls:
            wire_id = self._ids.of_call(call.id)
            self._names[wire_id] = call.name
            out.append({"id": wire_id, "function": {"name": call.name, "arguments": call.arguments}})
        return out

    def of_result(self, call_id: str) -> dict[str, str]:
        """How the next result names its call: old servers know it by the tool's name, new ones by the id."""
        wire_id = self._ids.of_result(call_id)
        return {"tool_name": self._names[wire_id], "tool_call_id": wire_id}


def _message(message: Message, identity: ModelIdentity, called: _Calls, where: str) -> dict[str, Any] | None:
    text, images, calls = _text(message.parts), _images(message.parts, where), message.tool_calls
    if images and message.role == "assistant":
        raise CapabilityMismatch(f"{where}: this dialect takes no image in an assistant message")
    if not text.strip() and not images and not calls:
        return None
    out: dict[str, Any] = {"role": message.role, "content": text, **images}
    if message.role == "assistant":
        own = [part for part in message.parts if isinstance(part, Reasoning) and identity.wrote(part.vendor)]
        thoughts = "".join(part.text for part in own)
        if thoughts:
            out["thinking"] = thoughts
    if calls:
        out["tool_calls"] = called.write(calls)
    return out


def _result(result: ToolResult, calls: _Calls, where: str) -> dict[str, Any]:
    text = _text(result.parts)
    return {
        "role": "tool",
        "content": f"Error: {text}" if result.is_error else text,
        **calls.of_result(result.tool_call_id),
        **_images(result.parts, where),
    }


def _text(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def _images(parts: Sequence[Part], where: str) -> dict[str, Any]:
    """The field for pictures: their bare base64. The server fetches nothing from the web."""
    for part in parts:
        if isinstance(part, (Document, Audio)):
            raise CapabilityMismatch(f"{where}: this dialect takes no {type(part).__name__.lower()}; put it into words")
    images = [part for part in parts if isinstance(part, Image)]
    if any(image.data is None for image in images):
        raise CapabilityMismatch(f"{where}: this dialect takes no image by URL; pass its data")
    return {"images": [image.data for image in images]} if images else {}
