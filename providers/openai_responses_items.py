"""
The conversation as items of Responses: messages, calls and their results, and what only the vendor understands.

Facts: OpenAI's Python SDK 3.54.0; public issue threads on what is refused. Gathered 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from llmswitch._adapter import ModelIdentity
from llmswitch._errors import CapabilityMismatch
from llmswitch._messages import Audio, Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult, VendorPart
from llmswitch._request import ChatRequest
from llmswitch.providers.json_in_words import json_instruction
from llmswitch.providers.openai_messages import call_arguments
from llmswitch.providers.tool_ids import WireIds

if TYPE_CHECKING:
    from llmswitch.providers.openai_responses import ResponsesOptions

__all__ = ["Input", "build_input"]

_Item: TypeAlias = dict[str, Any]
_KNOWN = ("web_search_call",)


@dataclass(slots=True)
class Input:
    """What is said: instructions, where they have a field of their own, and the items of the conversation."""

    instructions: str
    items: list[_Item]


def build_input(request: ChatRequest, options: ResponsesOptions, identity: ModelIdentity) -> Input:
    """
    The conversation as it goes over the wire.

    What is blank is left out, and so is what only another vendor, account or model understands. Raises
    `CapabilityMismatch` where nothing is left, and for content that the dialect has no part for.
    """
    leading = _leading(request.messages) if options.instructions else 0
    writer = _Writer(options, identity)
    items = [item for message in request.messages[leading:] for item in writer.items(message)]
    system = [message.text for message in request.messages[:leading] if message.text.strip()]
    if not items:  # the input may not be empty
        items, system = [{"type": "message", "role": "system", "content": text} for text in system], []
    if not items:
        raise CapabilityMismatch("messages: all of them are blank, so there is nothing to answer")
    # what the field of instructions says of JSON does not count, only the input's words do (public threads, 2025)
    heard = replace(request, messages=request.messages[leading:])
    instruction = json_instruction(heard)
    if instruction is not None:
        items.insert(0, {"type": "message", "role": "system", "content": instruction})
    return Input("\n\n".join(system), items)


def _leading(messages: Sequence[Message]) -> int:
    """How many system messages stand at the front."""
    return next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))


class _Writer:
    """Messages to items, for one request."""

    def __init__(self, options: ResponsesOptions, identity: ModelIdentity) -> None:
        self._options = options
        self._identity = identity
        self._ids = WireIds(options.tool_ids)
        self._calls: dict[str, _Item] = {}

    def items(self, message: Message) -> list[_Item]:
        if message.role == "assistant":
            return self._assistant(message)
        if message.role == "tool":
            return [self._result(part) for part in message.parts if isinstance(part, ToolResult)]
        parts = [part for part in message.parts if not isinstance(part, Text) or part.text]
        if all(isinstance(part, Text) and not part.text.strip() for part in parts):
            return []
        texts = [part.text for part in parts if isinstance(part, Text)]
        single = len(texts) == len(parts) and (len(parts) == 1 or self._options.joined_text)
        content = "".join(texts) if single else [_part(part, self._options) for part in parts]
        return [{"type": "message", "role": message.role, "content": content}]

    def _assistant(self, message: Message) -> list[_Item]:
        self._ids.new_turn()
        items: list[_Item] = []
        for part in message.parts:
            match part:
                case Text():
                    if part.text.strip():
                        self._say(part, items)
                case ToolCall():
                    items.append(self._call(part))
                case Reasoning() | VendorPart():
                    items += self._own(part)
                case _:
                    raise CapabilityMismatch(
                        f"an assistant message with {type(part).__name__}: this dialect takes none"
                    )
        while items and items[-1]["type"] == "reasoning":  # "without its required following item": refused
            items.pop()
        return items

    def _say(self, text: Text, items: list[_Item]) -> None:
        """Text of the assistant's; texts of one phase that stand together are one message."""
        owned = text.vendor is not None and self._identity.owns(text.vendor)
        phase = text.vendor.data.get("phase") if owned and text.vendor is not None else None
        last = items[-1] if items else {}
        together = last.get("type") == "message" and last.get("phase") == phase
        if self._options.joined_text:
            if together:
                last["content"] += text.text
                return
            content: Any = text.text
        else:
            part = {"type": "output_text", "text": text.text, "annotations": []}
            if together:
                last["content"].append(part)
                return
            content = [part]
        said = {"type": "message", "role": "assistant", "content": content}
        items.append({**said, "phase": phase} if phase is not None else said)

    def _own(self, part: Reasoning | VendorPart) -> list[_Item]:
        """
        An item of the vendor's for the model that gave it, as it was, but without its id.

        With its id, the vendor looks for it where nothing is kept; OpenAI's own client leaves it out (openai/codex),
        and so it does for searches. What else has no content of its own is no more than an id, and stays here.
        """
        vendor = part.vendor
        if vendor is None or not self._options.replay or not self._identity.owns(vendor, same_model=True):
            return []
        item = dict(vendor.data)
        thought = isinstance(part, Reasoning)
        if not (item.get("encrypted_content") or (thought and item.get("content")) or item.get("type") in _KNOWN):
            return []
        if not self._options.thought_ids:
            item.pop("id", None)
        return [item]

    def _call(self, call: ToolCall) -> _Item:
        """A call, without the id of its item, with which the vendor would look for the thought that it came with."""
        owned = call.vendor is not None and self._identity.owns(call.vendor, same_model=True)
        extra = dict(call.vendor.data) if owned and call.vendor is not None else {}
        wire = self._ids.of_call(call.id)
        item = {"type": "function_call", "call_id": wire, "name": call.name, "arguments": call_arguments(call), **extra}
        self._calls[wire] = item
        return item

    def _result(self, result: ToolResult) -> _Item:
        wire = self._ids.of_result(result.tool_call_id)
        item: _Item = {"type": "function_call_output", "call_id": wire, "output": _output(result, self._options)}
        call = self._calls.get(wire, {})
        item.update({name: call[name] for name in self._options.result_fields if name in call})
        return item


def _output(result: ToolResult, options: ResponsesOptions) -> str | list[dict[str, Any]]:
    """What a tool gave back: text as a string; an error has no mark but its words."""
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    if len(texts) == len(result.parts):
        return ("Error: " if result.is_error else "") + "".join(texts)
    head = [{"type": "input_text", "text": "Error: "}] if result.is_error else []
    return head + [_part(part, options) for part in result.parts if not isinstance(part, Text) or part.text]


def _part(part: Part, options: ResponsesOptions) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Image():
            detail = part.detail or options.image_detail
            return {"type": "input_image", "image_url": part.data_url, **({"detail": detail} if detail else {})}
        case Document() if part.data is None:
            return {"type": "input_file", "file_url": part.url}
        case Document():
            return {"type": "input_file", "filename": part.name or "document.pdf", "file_data": part.data_url}
        case Audio():
            if part.data is None:
                raise CapabilityMismatch("audio by URL: this model takes it only as data")
            kind = (part.media_type or "").partition("/")[2].removeprefix("x-")
            kind = {"mpeg": "mp3", "wave": "wav"}.get(kind, kind)
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": kind}}
    raise CapabilityMismatch(f"{type(part).__name__}: this model does not take it")
