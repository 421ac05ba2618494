"""The events of a stream, as the caller sees them. Plain slotted objects: one is made for every piece of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ._messages import ToolCall
from ._reply import FinishReason, Usage

__all__ = [
    "ChatEvent",
    "Finish",
    "ReasoningDelta",
    "StreamReset",
    "TextDelta",
    "ToolCallDelta",
    "ToolCallDone",
]


@dataclass(slots=True)
class TextDelta:
    """More text of the answer."""

    text: str


@dataclass(slots=True)
class ReasoningDelta:
    """More of what the model says of its thinking."""

    text: str


@dataclass(slots=True)
class ToolCallDelta:
    """
    More of a tool call that is being written: show it, don't run it.

    `index` counts the calls of this answer from 0; `arguments` is the next piece of the JSON text.
    """

    index: int
    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class ToolCallDone:
    """A tool call that is whole, with arguments that parse: this one can be run."""

    index: int
    call: ToolCall


@dataclass(slots=True)
class StreamReset:
    """The answer starts again at another target: throw away what came before. Only with `restart`."""

    reason: str
    discarded_characters: int
    target: str


@dataclass(slots=True)
class Finish:
    """The answer is whole. `stream.reply` holds all of it."""

    reason: FinishReason
    usage: Usage


ChatEvent: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | ToolCallDone | StreamReset | Finish
