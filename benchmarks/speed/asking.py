"""What a library that is measured has to do, and what it is asked."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Protocol

__all__ = [
    "BURST",
    "KEY",
    "MESSAGES",
    "MODEL",
    "PACED",
    "Asking",
    "AsyncStreams",
    "Once",
    "Streams",
    "large",
    "line_with_text",
    "streamed",
    "text_of",
    "tools",
    "whole",
    "with_text",
]

BURST, PACED = 2_000, 200
"""Words of a stream that comes at once, and of one that comes an event at a time."""

KEY = "sk-benchmark-0123456789"
MODEL = "m"
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "How high is the Zugspitze?"},
]


def large() -> list[dict[str, Any]]:
    """A mebibyte of messages: a long conversation, of 256 turns."""
    said = ('The quick brown fox jumps over the lazy dog, says "hello"\n' * 71)[:4096]
    return [{"role": ("user", "assistant")[turn % 2], "content": said} for turn in range(255)] + MESSAGES[1:]


def tools(count: int = 100) -> list[dict[str, Any]]:
    """So many tools, of five parameters each."""
    properties = {f"parameter_{n}": {"type": "string", "description": "what it is good for"} for n in range(5)}
    schema = {"type": "object", "properties": properties, "required": ["parameter_0"]}
    return [
        {"type": "function", "function": {"name": f"tool_{n}", "description": "does a thing", "parameters": schema}}
        for n in range(count)
    ]


class Asking(Protocol):
    """
    One client of a library, made once and asked many times, with nothing set but what it must know: retries, timeouts
    and limits are the library's own. It raises what the library raises.

    Whole answers give their text; streams the number of pieces of text; `open` a stream of which one piece has come.
    """

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open as long as what is returned is held."""


class Streams(ABC):
    """The sync streams of a library that gives them as chunks. `says`: whether a chunk has a piece of text."""

    @abstractmethod
    def chunks(self, messages: list[dict[str, Any]]) -> Iterable[Any]:
        """A stream, begun."""

    def says(self, chunk: Any) -> bool:
        """As in the Chat Completions dialect, which most libraries keep to."""
        return with_text(chunk)

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        says = self.says
        return sum(says(chunk) for chunk in self.chunks(messages))


class AsyncStreams(ABC):
    """The same of its async streams."""

    @abstractmethod
    async def achunks(self, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """A stream, begun."""

    def says(self, chunk: Any) -> bool:
        """As in the Chat Completions dialect, which most libraries keep to."""
        return with_text(chunk)

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        count, says = 0, self.says
        async for chunk in await self.achunks(messages):
            count += says(chunk)
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        stream = await self.achunks(messages)
        while not self.says(await anext(stream)):
            pass
        return stream


class Once:
    """What a library wants in a form of its own, made once: its users hold it so, and ask with it many times."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make
        self._given = self._made = None

    def __call__(self, given: Any) -> Any:
        """In the form of the library."""
        if given is not self._given:
            self._given, self._made = given, self._make(given)
        return self._made


def whole(messages: Any, tools: Any = None) -> dict[str, Any]:
    """The body of a request for a whole answer, in the Chat Completions dialect."""
    return {"model": MODEL, "messages": messages, **({"tools": tools} if tools else {})}


def text_of(body: Any) -> str:
    """The text of such an answer."""
    text: str = body["choices"][0]["message"]["content"]
    return text


def streamed(messages: Any) -> dict[str, Any]:
    """The options of a stream whose usage is told, in the Chat Completions dialect."""
    return {**whole(messages), "stream": True, "stream_options": {"include_usage": True}}


def with_text(chunk: Any) -> bool:
    """Whether a chunk of the Chat Completions dialect has a piece of text."""
    return any(choice.delta.content for choice in chunk.choices)


def line_with_text(line: str) -> bool:
    """Whether a line of a stream has a piece of text, by hand: of a library that gives no more than lines."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return False
    return any(choice["delta"].get("content") for choice in json.loads(line[6:])["choices"])
