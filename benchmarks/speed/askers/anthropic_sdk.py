"""Anthropic's own SDK, over the Messages protocol, in which the vendor answers the same words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from typing import Any

from anthropic import Anthropic, AsyncAnthropic

from benchmarks.speed.asking import KEY, MODEL, AsyncStreams, Once, Streams

DISTRIBUTIONS = ("anthropic", "httpx2")
NAME = "anthropic"
IMPORT = "from anthropic import Anthropic, AsyncAnthropic"


class Asker(Streams, AsyncStreams):
    """A client of each kind, made when it is first asked."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"base_url": url, "api_key": KEY}
        self._question, self._tools = Once(_question), Once(_tools)

    @cached_property
    def _client(self) -> Any:
        return Anthropic(**self._options)

    @cached_property
    def _async(self) -> Any:
        return AsyncAnthropic(**self._options)

    def says(self, chunk: Any) -> bool:
        """Whether an event has a piece of text."""
        return bool(chunk.type == "content_block_delta" and chunk.delta.text)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        options = {"tools": self._tools(tools)} if tools else {}
        text: str = self._client.messages.create(**self._question(messages), **options).content[0].text
        return text

    def chunks(self, messages: list[dict[str, Any]]) -> Iterable[Any]:
        """A stream, begun."""
        stream: Iterable[Any] = self._client.messages.create(**self._question(messages), stream=True)
        return stream

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        text: str = (await self._async.messages.create(**self._question(messages))).content[0].text
        return text

    async def achunks(self, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """The same, awaited."""
        stream: AsyncIterator[Any] = await self._async.messages.create(**self._question(messages), stream=True)
        return stream


def _question(messages: list[dict[str, Any]]) -> dict[str, Any]:
    system = {"system": messages[0]["content"]} if messages[0]["role"] == "system" else {}
    return {"model": MODEL, "max_tokens": 1024, "messages": messages[len(system) :], **system}


def _tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    functions = [tool["function"] for tool in tools]
    return [{"name": f["name"], "description": f["description"], "input_schema": f["parameters"]} for f in functions]
