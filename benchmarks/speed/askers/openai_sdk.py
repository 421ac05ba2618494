"""OpenAI's own SDK, which most programs are written with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from typing import Any

from openai import AsyncOpenAI, OpenAI

from benchmarks.speed.asking import KEY, MODEL, AsyncStreams, Streams, streamed

DISTRIBUTIONS = ("openai", "httpx2")
NAME = "openai"
IMPORT = "from openai import AsyncOpenAI, OpenAI"


class Asker(Streams, AsyncStreams):
    """A client of each kind, made when it is first asked."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": KEY}

    @cached_property
    def _client(self) -> Any:
        return OpenAI(**self._options)

    @cached_property
    def _async(self) -> Any:
        return AsyncOpenAI(**self._options)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        options: dict[str, Any] = {"tools": tools} if tools else {}
        answer = self._client.chat.completions.create(model=MODEL, messages=messages, **options)
        return answer.choices[0].message.content or ""

    def chunks(self, messages: list[dict[str, Any]]) -> Iterable[Any]:
        """A stream, begun."""
        stream: Iterable[Any] = self._client.chat.completions.create(**streamed(messages))
        return stream

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        answer = await self._async.chat.completions.create(model=MODEL, messages=messages)
        return answer.choices[0].message.content or ""

    async def achunks(self, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """The same, awaited."""
        stream: AsyncIterator[Any] = await self._async.chat.completions.create(**streamed(messages))
        return stream
