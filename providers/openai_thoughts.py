"""
What a model thought, as Chat Completions vendors carry it: read from the fields that hold it, sent back where wanted.

Facts: MiniMax's OpenAPI of `/v1/chat/completions` (`reasoning_details`), its issue MiniMax-M2#95 and the example of its
documentation, which disagree on whether events repeat what came before; DeepSeek's and Moonshot's documentation on what
must come back with tool calls. Gathered 2026-11-27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmswitch._messages import Message, Reasoning

if TYPE_CHECKING:
    from llmswitch.providers.openai import ChatCompletionsOptions

__all__ = ["GrowingThought", "read_thought", "thought_fields"]


def read_thought(message: Mapping[str, Any], fields: tuple[str, ...]) -> str:
    """The thinking in a message or a delta: from the first field that holds some, as text or as parts with text."""
    for field in fields:
        found = message.get(field)
        if isinstance(found, list):
            texts = [part.get("text") for part in found if isinstance(part, Mapping)]
            found = "".join(text for text in texts if isinstance(text, str))
        if isinstance(found, str) and found:
            return found
    return ""


def thought_fields(message: Message, options: ChatCompletionsOptions) -> dict[str, Any]:
    """The field that takes an assistant's thinking back, or nothing where the vendor does not want it."""
    thoughts = [part.text for part in message.parts if isinstance(part, Reasoning)]
    wanted = {
        "omit": False,
        "optional": bool(thoughts),
        "with_calls": bool(message.tool_calls),
        "required": True,
    }[options.reasoning_replay]
    if not wanted:
        return {}
    text = "".join(thoughts)
    return {
        options.reasoning_fields[0]: [{**options.reasoning_parts, "text": text}] if options.reasoning_parts else text
    }


class GrowingThought:
    """
    Thinking that a vendor may send from its beginning in every event: what came before is left out.

    Whether it does so, the second event shows; the first that does not begin with what came before settles that it
    does not.
    """

    def __init__(self) -> None:
        self._whole = ""
        self._repeats = True

    def new(self, piece: str) -> str:
        """What is new in a piece."""
        if self._repeats and self._whole:
            self._repeats = piece.startswith(self._whole)
            if self._repeats:
                piece, self._whole = piece[len(self._whole) :], piece
                return piece
        self._whole = piece
        return piece
