"""aisuite, whose provider of OpenAI's models is OpenAI's SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import aisuite

from benchmarks.speed.asking import KEY, MODEL, AsyncStreams, Streams

DISTRIBUTIONS = ("aisuite", "openai", "httpx")
NAME = "aisuite"
IMPORT = "import aisuite"


class Asker(Streams, AsyncStreams):
    """One client, which is sync and async."""

    def __init__(self, url: str) -> None:
        client = aisuite.Client({"openai": {"api_key": KEY, "base_url": f"{url}/v1"}})
        self._completions: Any = client.chat.completions
        self._model = f"openai:{MODEL}"

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        options: dict[str, Any] = {"tools": tools} if tools else {}
        return self._completions.create(self._model, messages, **options).choices[0].message.content or ""

    def chunks(self, messages: list[dict[str, Any]]) -> Iterable[Any]:
        """A stream, begun."""
        stream: Iterable[Any] = self._completions.create(self._model, messages, stream=True)
        return stream

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        return (await self._completions.acreate(self._model, messages)).choices[0].message.content or ""

    async def achunks(self, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """The same, awaited."""
        stream: AsyncIterator[Any] = await self._completions.acreate(self._model, messages, stream=True)
        return stream
