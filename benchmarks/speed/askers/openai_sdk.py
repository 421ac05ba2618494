"""OpenAI's own SDK, which most programs are written with."""

from __future__ import annotations

from typing import Any

from openai import AsyncOpenAI, OpenAI

from benchmarks.speed.asking import KEY, MODEL

DISTRIBUTIONS = ("openai", "httpx")
NAME = "openai"
IMPORT = "from openai import AsyncOpenAI, OpenAI"


class Asker:
    """A client of each kind."""

    def __init__(self, url: str) -> None:
        self._client = OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        self._async = AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        options: Any = {"tools": tools} if tools else {}
        said: Any = messages
        answer: Any = self._client.chat.completions.create(model=MODEL, messages=said, **options)
        return answer.choices[0].message.content or ""

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        said: Any = messages
        return sum(_text(chunk) for chunk in self._client.chat.completions.create(**_streamed(said)))

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        said: Any = messages
        answer = await self._async.chat.completions.create(model=MODEL, messages=said)
        return answer.choices[0].message.content or ""

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        count = 0
        async for chunk in await self._async.chat.completions.create(**_streamed(messages)):
            count += _text(chunk)
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        stream: Any = await self._async.chat.completions.create(**_streamed(messages))
        while not _text(await anext(stream)):
            pass
        return stream


def _streamed(messages: Any) -> Any:
    return {"model": MODEL, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}


def _text(chunk: Any) -> bool:
    return any(choice.delta.content for choice in chunk.choices)
