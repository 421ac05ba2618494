"""LangChain's model for OpenAI."""

from __future__ import annotations

from typing import Any

from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from benchmarks.speed.asking import KEY, MODEL

DISTRIBUTIONS = ("langchain-openai", "langchain-core", "openai")
NAME = "langchain"
IMPORT = "from langchain_openai import ChatOpenAI"


class Asker:
    """One model, which is sync and async."""

    def __init__(self, url: str) -> None:
        self._model = ChatOpenAI(model=MODEL, base_url=f"{url}/v1", api_key=SecretStr(KEY), max_retries=0)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        model: Any = self._model.bind_tools(tools) if tools else self._model
        text: str = model.invoke(messages).text
        return text

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        said: Any = messages
        return sum(bool(chunk.content) for chunk in self._model.stream(said))

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        said: Any = messages
        answer: Any = await self._model.ainvoke(said)
        text: str = answer.text
        return text

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        said: Any = messages
        count = 0
        async for chunk in self._model.astream(said):
            count += bool(chunk.content)
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        said: Any = messages
        stream = self._model.astream(said)
        while not (await anext(stream)).content:
            pass
        return stream
