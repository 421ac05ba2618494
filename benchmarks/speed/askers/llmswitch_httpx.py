"""llmswitch on plain httpx, which is the engine of a bare install."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.speed.asking import KEY, MODEL
from llmswitch import AsyncClient, Client, TextDelta

DISTRIBUTIONS = ("llmswitch", "httpx")
NAME = "llmswitch"
IMPORT = "from llmswitch import AsyncClient, Client"
ENGINE = "httpx"


def config(url: str, engine: str, *others: str) -> dict[str, Any]:
    """One target of the Chat Completions dialect, or a chain of several."""
    os.environ["LLMSWITCH_BENCHMARK_KEY"] = KEY
    providers = {
        f"t{number}": {
            "dialect": "openai",
            "base_url": f"{each}/v1",
            "api_key": {"env": "LLMSWITCH_BENCHMARK_KEY"},
            "max_in_flight": 2000,
        }
        for number, each in enumerate((url, *others), 1)
    }
    chain = {"targets": [f"{name}:{MODEL}" for name in providers]}
    return {"default": "c", "chains": {"c": chain}, "providers": providers, "http": {"engine": engine}}


class Asker:
    """A client of each kind, from one configuration."""

    engine = ENGINE

    def __init__(self, url: str) -> None:
        given = config(url, self.engine)
        self._client = Client.from_config(given)
        self._async = AsyncClient.from_config(given)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        return self._client.chat(messages, tools=tools).text if tools else self._client.chat(messages).text

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        with self._client.stream(messages) as stream:
            return sum(type(event) is TextDelta for event in stream)

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        return (await self._async.chat(messages)).text

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        count = 0
        async with self._async.stream(messages) as stream:
            async for event in stream:
                count += type(event) is TextDelta
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        stream = self._async.stream(messages)
        while type(await anext(stream)) is not TextDelta:
            pass
        return stream
