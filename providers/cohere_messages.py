"""
The conversation in the shape of Cohere's chat API, version 2.

An assistant's message with tool calls takes no text: what is said beside them is the `tool_plan` (vercel/ai#5794 quotes
the refusal). Read 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmswitch._adapter import ModelIdentity
from llmswitch._errors import CapabilityMismatch
from llmswitch._json import JSONInvalid, loads
from llmswitch._messages import Image, Message, Part, Reasoning, Text, ToolCall, ToolResult, VendorPart
from llmswitch._request import ChatRequest
from llmswitch.providers.openai_messages import call_arguments
from llmswitch.providers.tool_ids import WireIds

if TYPE_CHECKING:
    from llmswitch.providers.cohere import CohereOptions

__all__ = ["build_messages"]


def build_messages(
    request: ChatRequest, options: CohereOptions, identity: ModelIdentity, *, thinks: bool
) -> list[dict[str, Any]]:
    """
    The messages as they go over the wire. Blank text is left out, and so is what another vendor's model thought; the
    vendor's own thoughts go back where the model `thinks` in its answer, since they are refused otherwise.

    Raises `CapabilityMismatch` where nothing is left, and for content that the dialect has no part for.
    """
    writer = _Writer(options, identity, thinks=thinks)
    out: list[dict[str, Any]] = []
    for index, message in enumerate(request.messages):
        if message.role == "tool":
            out += [writer.result(part) for part in message.parts if isinstance(part, ToolResult)]
            continue
        write = writer.assistant if message.role == "assistant" else writer.plain
        written = write(message, f"messages[{index}]")
        out += [written] if written is not None else []
    if not out:
        raise CapabilityMismatch("messages: all of them are blank, so there is nothing to answer")
    return out


class _Writer:
    """Messages to messages of the wire, for one request."""

    def __init__(self, options: CohereOptions, identity: ModelIdentity, *, thinks: bool) -> None:
        self._options = options
        self._identity = identity
        self._thinks = thinks
        self._ids = WireIds(options.tool_ids)

    def plain(self, message: Message, where: str) -> dict[str, Any] | None:
        """A message of the system's or the user's."""
        content = self._content(message.parts, message.role, where)
        return {"role": message.role, "content": content} if content else None

    def assistant(self, message: Message, where: str) -> dict[str, Any] | None:
        """An answer: thoughts and text as its content; with calls, the text is their plan."""
        calls = message.tool_calls
        if not calls:
            with_thoughts = self._options.reasoning_replay == "optional"
            parts = [part for part in message.parts if with_thoughts or not isinstance(part, Reasoning)]
            content = self._content(parts, "assistant", where)
            spoken = isinstance(content, str) or any(part["type"] == "text" for part in content)
            return {"role": "assistant", "content": content} if spoken else None
        out: dict[str, Any] = {"role": "assistant"}
        thoughts = self._content([part for part in message.parts if not isinstance(part, Text)], "assistant", where)
        if thoughts:
            out["content"] = thoughts
        if message.text.strip():
            out["tool_plan"] = message.text
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

    def result(self, result: ToolResult) -> dict[str, Any]:
        """What a tool said. There is no flag for an error, so the text says it."""
        text = "".join(part.text for part in result.parts if isinstance(part, Text))
        content: Any = f"Error: {text}" if result.is_error else text
        if self._options.tool_results == "documents" and not result.is_error:
            content = _documents(text) or text
        return {"role": "tool", "tool_call_id": self._ids.of_result(result.tool_call_id), "content": content}

    def _content(self, parts: Sequence[Part], role: str, where: str) -> str | list[dict[str, Any]]:
        """The parts, or a string where there is one text alone; empty where nothing is left."""
        written = [found for part in parts if (found := self._part(part, role, where)) is not None]
        if len(written) == 1 and written[0]["type"] == "text":
            text: str = written[0]["text"]
            return text
        return written

    def _part(self, part: Part, role: str, where: str) -> dict[str, Any] | None:
        match part:
            case Text():
                return {"type": "text", "text": part.text} if part.text.strip() else None
            case Image() if role == "user":
                detail = {"detail": part.detail} if part.detail else {}
                return {"type": "image_url", "image_url": {"url": part.data_url, **detail}}
            case Reasoning():
                wanted = self._thinks and self._options.reasoning_replay != "omit"
                own = wanted and part.text and self._identity.wrote(part.vendor)
                return {"type": "thinking", "thinking": part.text} if own else None
            case ToolCall() | VendorPart():  # calls are written beside the content; the other is another vendor's
                return None
        kind = type(part).__name__.lower()
        raise CapabilityMismatch(f"{where}: this dialect takes no {kind} in a message of the {role}'s")


def _documents(text: str) -> list[dict[str, Any]] | None:
    """A JSON object, or a list of them, as documents; `None` for anything else."""
    try:
        value = loads(text)
    except JSONInvalid:
        return None
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, dict) for each in found):
        return None
    return [{"type": "document", "document": {"data": each}} for each in found]
