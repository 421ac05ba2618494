"""The conversation in the Chat Completions shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmswitch._adapter import ModelIdentity
from llmswitch._errors import CapabilityMismatch
from llmswitch._json import dumps
from llmswitch._messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Text,
    ToolCall,
    ToolResult,
)
from llmswitch._request import ChatRequest
from llmswitch.providers.json_in_words import json_instruction
from llmswitch.providers.openai_thoughts import thought_fields
from llmswitch.providers.openai_tools_as_schema import offer_tools
from llmswitch.providers.tool_ids import WireIds

if TYPE_CHECKING:
    from llmswitch.providers.openai import ChatCompletionsOptions

__all__ = ["build_messages", "call_arguments"]


def build_messages(
    request: ChatRequest, options: ChatCompletionsOptions, identity: ModelIdentity
) -> list[dict[str, Any]]:
    """
    The messages as they go over the wire.

    What is blank is left out, for some refuse it; so is what another vendor thought. Raises `CapabilityMismatch` where
    nothing is left, and for content that the dialect has no part for.
    """
    out = _Writer(options, identity, request.messages[-1] if request.prefill else None).messages(request.messages)
    if not out:
        raise CapabilityMismatch("messages: all of them are blank, so there is nothing to answer")
    instruction = _instruction(request, options)
    if instruction:
        out.insert(0, {"role": options.system_role, "content": instruction})
    return _one_system(out, options.system_role) if options.one_system else out


def _one_system(messages: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    """What the system says, in one message before all others."""
    said = [message["content"] for message in messages if message["role"] == role]
    texts = [content if isinstance(content, str) else "".join(part["text"] for part in content) for content in said]
    rest = [message for message in messages if message["role"] != role]
    return [{"role": role, "content": "\n\n".join(texts)}, *rest] if texts else rest


def _text_of(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def _part(part: Part, options: ChatCompletionsOptions) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            url = part.data if part.data is not None and options.image_data == "base64" else part.data_url
            return {
                "type": "image_url",
                "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})},
            }
        case Audio():
            if part.data is None:
                raise CapabilityMismatch("audio by URL: this model takes it only as data")
            if options.audio_data == "base64":
                return {"type": "input_audio", "input_audio": part.data}
            kind = (part.media_type or "").partition("/")[2].removeprefix("x-")
            kind = {"mpeg": "mp3", "wave": "wav"}.get(kind, kind)
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": kind}}
        case Document() if options.document_part == "document_url":
            name = {"document_name": part.name} if part.name else {}
            return {"type": "document_url", "document_url": part.data_url, **name}
        case Document():
            if part.data is None:
                raise CapabilityMismatch("a document by URL: this model takes it only as data")
            return {
                "type": "file",
                "file": {"filename": part.name or "document.pdf", "file_data": part.data_url},
            }
    raise CapabilityMismatch(f"{type(part).__name__}: this model does not take it")


class _Writer:
    """Messages to messages of the wire, for one request."""

    def __init__(
        self, options: ChatCompletionsOptions, identity: ModelIdentity, unfinished: Message | None = None
    ) -> None:
        self._options = options
        self._unfinished = unfinished
        self._identity = identity
        self._ids = WireIds(options.tool_ids)

    def messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Results stand together after their calls; pictures can't stand in one, and follow in a user's message."""
        out: list[dict[str, Any]] = []
        shown: list[dict[str, Any]] = []
        for message in messages:
            if message.role == "tool":
                for result in message.parts:
                    assert isinstance(result, ToolResult)
                    out.append(self._result(result, shown))
                continue
            if shown:
                out.append({"role": "user", "content": shown})
                shown = []
            written = self._assistant(message) if message.role == "assistant" else self._plain(message)
            if written is not None:
                out.append(written)
        return self._spoken([*out, {"role": "user", "content": shown}] if shown else out)

    def _spoken(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages with what the assistant has to say between results and the user's next one."""
        if not self._options.after_results:
            return messages
        out: list[dict[str, Any]] = []
        for message in messages:
            if out and out[-1]["role"] == "tool" and message["role"] == "user":
                out.append({"role": "assistant", "content": self._options.after_results})
            out.append(message)
        return out

    def _plain(self, message: Message) -> dict[str, Any] | None:
        options = self._options
        role = options.system_role if message.role == "system" else message.role
        named = {"name": message.name} if message.name and options.names else {}
        if isinstance(message.content, str):
            return {"role": role, "content": message.content, **named} if message.content.strip() else None
        parts = [part for part in message.content if not isinstance(part, Text) or part.text]
        if all(isinstance(part, Text) and not part.text.strip() for part in parts):
            return None
        content: str | list[dict[str, Any]]
        if (options.joined_text or len(parts) == 1) and all(isinstance(part, Text) for part in parts):
            content = _text_of(parts)
        else:
            content = [_part(part, options) for part in parts]
        return {"role": role, "content": content, **named}

    def _assistant(self, message: Message) -> dict[str, Any] | None:
        options = self._options
        if isinstance(message.content, str) and options.reasoning_replay == "omit":
            return {"role": "assistant", "content": message.content} if message.content.strip() else None
        text = message.text if message.text.strip() else ""
        calls = message.tool_calls
        for part in () if isinstance(message.content, str) else message.content:
            if isinstance(part, (Image, Audio)):
                raise CapabilityMismatch(f"an assistant message with {type(part).__name__}: this dialect takes none")
        if not text and not calls:
            return None
        if calls and options.tools_as_schema:
            written = "\n".join(f'{{"name": "{call.name}", "arguments": {call_arguments(call)}}}' for call in calls)
            return {"role": "assistant", "content": f"{text}\n{written}" if text else written}
        unfinished = message is self._unfinished
        out: dict[str, Any] = {"role": "assistant", "content": text or None}
        if not text and options.calls_content == "omit":
            del out["content"]
        out.update(thought_fields(message, options, self._identity, unfinished=unfinished))
        if calls:
            self._ids.new_turn()
            out["tool_calls"] = [
                {
                    "id": self._ids.of_call(call.id),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call_arguments(call)},
                }
                for call in calls
            ]
        return out

    def _result(self, result: ToolResult, shown: list[dict[str, Any]]) -> dict[str, Any]:
        """The message of one result; what is no text in it is added to `shown`."""
        wire_id, text = self._ids.of_result(result.tool_call_id), _text_of(result.parts)
        pictures = [part for part in result.parts if not isinstance(part, Text)]
        if pictures:
            shown.append({"type": "text", "text": f"Returned by the tool call {wire_id}:"})
            shown.extend(_part(part, self._options) for part in pictures)
        return {"role": "tool", "tool_call_id": wire_id, "content": f"Error: {text}" if result.is_error else text}


def call_arguments(call: ToolCall) -> str:
    """The arguments as JSON text: the vendor's own where it is there, so that a cached prompt stays the same."""
    return call.raw_arguments if call.raw_arguments.strip() else dumps(call.arguments).decode()


def _instruction(request: ChatRequest, options: ChatCompletionsOptions) -> str | None:
    """What has to be said in words."""
    if options.tools_as_schema and request.tools and request.tool_choice != "none":
        return offer_tools(request)
    return json_instruction(request)
