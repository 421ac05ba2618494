"""
A conversation as the conventions for generative AI have it on a span, for who chose to have it recorded.

Pictures and files are named and not shown, and no key that this process knows stands in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ._errors import LLMSwitchError
from ._messages import Audio, Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from ._reply import ChatReply
from ._scrub import scrub

__all__ = ["content_wanted", "said_of"]

_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_YES = frozenset({"true", "1", "span_only", "span_and_event"})  # events are not made here, so they are no yes
_FINISHED = {"tool_calls": "tool_call"}  # where the conventions have another word
_MODALITY = {Image: "image", Audio: "audio", Document: "document"}


def content_wanted(*choices: bool | None) -> bool:
    """Whether somebody said yes and nobody no: these, where they said anything, and OpenTelemetry's own variable."""
    variable = os.environ.get(_VARIABLE, "").strip().lower()
    said = [choice for choice in (*choices, variable in _YES if variable else None) if choice is not None]
    return bool(said) and all(said)


def said_of(messages: Sequence[Message], reply: object, error: BaseException | None) -> dict[str, str]:
    """The attributes for what was asked and what came of it; of an answer that broke off, what there is."""
    turns = list(messages)
    instructions: list[dict[str, Any]] = []
    while turns and turns[0].role == "system":
        instructions += _parts(turns.pop(0).parts)
    asked = [_turn(message) for message in turns]
    said: dict[str, Any] = {"gen_ai.system_instructions": instructions, "gen_ai.input.messages": asked}
    partial = getattr(error, "partial", None) if isinstance(error, LLMSwitchError) else None
    if isinstance(reply, ChatReply):
        finished = _FINISHED.get(reply.finish_reason, reply.finish_reason)
        said["gen_ai.output.messages"] = [{**_turn(reply.message), "finish_reason": finished}]
    elif isinstance(partial, ChatReply):
        said["gen_ai.output.messages"] = [{**_turn(partial.message), "finish_reason": "error"}]
    return {name: _written(value) for name, value in said.items() if value}


def _written(value: Any) -> str:
    """As JSON, since attributes of spans have no structure."""
    return json.dumps(_clean(value), ensure_ascii=False).encode("utf-8", "replace").decode()


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "parts": list(_parts(message.parts))}
    return turn if message.name is None else {**turn, "name": message.name}


def _parts(parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """What only one vendor understands is left out."""
    for part in parts:
        if isinstance(part, Text):
            yield {"type": "text", "content": part.text}
        elif isinstance(part, Reasoning) and part.text:
            yield {"type": "reasoning", "content": part.text}
        elif isinstance(part, ToolCall):
            yield {"type": "tool_call", "id": part.id, "name": part.name, "arguments": part.arguments}
        elif isinstance(part, ToolResult):
            plain = isinstance(part.content, str)
            response = part.content if plain else list(_parts(part.parts))
            yield {"type": "tool_call_response", "id": part.tool_call_id, "response": response}
        elif isinstance(part, (Image, Audio, Document)):
            yield _reference(part)


def _reference(part: Image | Audio | Document) -> dict[str, Any]:
    """Where it is, without what may be a signature; or what it was, by the hash of its bytes."""
    said: dict[str, Any] = {"modality": _MODALITY[type(part)]}
    if part.media_type is not None:
        said["mime_type"] = part.media_type
    if part.url is not None:
        at = urlsplit(part.url)
        host = at.netloc.rpartition("@")[2]
        return {"type": "uri", **said, "uri": urlunsplit((at.scheme, host, at.path, "", ""))}
    return {"type": "file", **said, "file_id": f"sha256:{hashlib.sha256(_bytes(part.data or '')).hexdigest()}"}


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data)
    except (NotBase64, ValueError):
        return data.encode("utf-8", "replace")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {scrub(str(name)): _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, (list, tuple)) else value
