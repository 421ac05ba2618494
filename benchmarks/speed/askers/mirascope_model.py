"""Mirascope: its model, by the Chat Completions protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from mirascope import llm

from benchmarks.speed.asking import KEY, AsyncStreams, Once, Streams

DISTRIBUTIONS = ("mirascope", "openai", "httpx")
NAME = "mirascope"
IMPORT = "from mirascope import llm"


class Asker(Streams, AsyncStreams):
    """One model, which is sync and async. Its tools are functions."""

    def __init__(self, url: str) -> None:
        named = f"openai/{url.rpartition('/')[2]}"  # providers are kept for the whole process, by the model's name
        provider = llm.providers.OpenAIProvider(api_key=KEY, base_url=f"{url}/v1")
        llm.register_provider(provider, scope=named)
        self._model: Any = llm.Model(f"{named}:completions")
        self._said, self._functions = Once(_said), Once(_functions)

    def says(self, chunk: Any) -> bool:
        """Whether a chunk has a piece of text."""
        return bool(chunk.type == "text_chunk" and chunk.delta)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        options = {"tools": self._functions(tools)} if tools else {}
        text: str = self._model.call(self._said(messages), **options).text()
        return text

    def chunks(self, messages: list[dict[str, Any]]) -> Iterable[Any]:
        """A stream, begun."""
        stream: Iterable[Any] = self._model.stream(self._said(messages)).chunk_stream()
        return stream

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        text: str = (await self._model.call_async(self._said(messages))).text()
        return text

    async def achunks(self, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """The same, awaited."""
        stream: AsyncIterator[Any] = (await self._model.stream_async(self._said(messages))).chunk_stream()
        return stream


def _said(messages: list[dict[str, Any]]) -> list[Any]:
    def one(role: str, content: str) -> Any:
        if role == "assistant":
            return llm.messages.assistant(content, model_id=None, provider_id=None)
        return llm.messages.system(content) if role == "system" else llm.messages.user(content)

    return [one(each["role"], each["content"]) for each in messages]


def _functions(tools: list[dict[str, Any]]) -> list[Any]:
    def one(name: str) -> Any:
        def function(
            parameter_0: str, parameter_1: str = "", parameter_2: str = "", parameter_3: str = "", parameter_4: str = ""
        ) -> str:
            """Does a thing."""
            return parameter_0 + parameter_1 + parameter_2 + parameter_3 + parameter_4

        function.__name__ = name
        return llm.tool(function)

    return [one(each["function"]["name"]) for each in tools]
