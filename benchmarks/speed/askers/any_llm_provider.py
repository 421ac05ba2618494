"""any-llm, by the class that its documentation recommends for production: it keeps the client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from any_llm import AnyLLM

from benchmarks.speed.asking import KEY, MODEL, AsyncStreams, Streams, streamed

DISTRIBUTIONS = ("any-llm-sdk", "openai", "httpx2")
NAME = "any-llm"
IMPORT = "from any_llm import AnyLLM"


class Asker(Streams, AsyncStreams):
    """One provider, which is sync and async. Sync calls are its async ones, in a thread of its own."""

    def __init__(self, url: str) -> None:
        self._provider: Any = AnyLLM.create("openai", api_key=KEY, api_base=f"{url}/v1")

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        options: dict[str, Any] = {"tools": tools} if tools else {}
        return self._provider.completion(MODEL, messages, **options).choices[0].message.content or ""

    def chunks(self, messages: list[dict[str, Any]]) -> Iterable[Any]:
        """A stream, begun."""
        stream: Iterable[Any] = self._provider.completion(**streamed(messages))
        return stream

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        return (await self._provider.acompletion(MODEL, messages)).choices[0].message.content or ""

    async def achunks(self, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """The same, awaited."""
        stream: AsyncIterator[Any] = await self._provider.acompletion(**streamed(messages))
        return stream
