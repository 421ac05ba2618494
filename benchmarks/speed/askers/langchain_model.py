"""LangChain's model for OpenAI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from benchmarks.speed.asking import KEY, MODEL, AsyncStreams, Once, Streams

DISTRIBUTIONS = ("langchain-openai", "langchain-core", "openai", "httpx2")
NAME = "langchain"
IMPORT = "from langchain_openai import ChatOpenAI"


class Asker(Streams, AsyncStreams):
    """One model, which is sync and async. Tools are bound to it once."""

    def __init__(self, url: str) -> None:
        self._model: Any = ChatOpenAI(model=MODEL, base_url=f"{url}/v1", api_key=SecretStr(KEY))
        self._with = Once(self._model.bind_tools)

    def says(self, chunk: Any) -> bool:
        """Whether a chunk has a piece of text."""
        return bool(chunk.content)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        model = self._with(tools) if tools else self._model
        text: str = model.invoke(messages).text
        return text

    def chunks(self, messages: list[dict[str, Any]]) -> Iterable[Any]:
        """A stream, begun."""
        stream: Iterable[Any] = self._model.stream(messages)
        return stream

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        text: str = (await self._model.ainvoke(messages)).text
        return text

    async def achunks(self, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """The same, awaited."""
        stream: AsyncIterator[Any] = self._model.astream(messages)
        return stream
