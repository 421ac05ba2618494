"""What a library that is measured has to do, and what it is asked."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["KEY", "MESSAGES", "MODEL", "Asking", "large", "tools"]

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
    One client of a library, made once and asked many times. It raises what the library raises.

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
