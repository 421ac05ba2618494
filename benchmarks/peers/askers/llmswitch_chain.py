"""llmswitch: a chain of two targets."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.peers.asking import Given, key
from llmswitch import AsyncClient, TextDelta

DISTRIBUTIONS = ("llmswitch", "httpx")
NAME = "llmswitch"
SETTINGS = (
    "a chain of two targets; `first_token_timeout`, `idle_timeout` and `connect_timeout` are the limit, `timeout` is "
    "twice the limit. Its one repetition after a 500 stays on: there is no switch for it."
)


class Asker:
    """The chain."""

    def __init__(self, given: Given) -> None:
        providers: dict[str, Any] = {}
        for number, url in enumerate(given.urls, 1):
            os.environ[f"T{number}_KEY"] = key(number)
            providers[f"t{number}"] = {"dialect": "openai", "base_url": url, "api_key": {"env": f"T{number}_KEY"}}
        chain: dict[str, Any] = {"targets": ["t1:m", "t2:m"]}
        if given.seconds is not None:
            limits = ("first_token_timeout", "idle_timeout", "connect_timeout")
            chain |= {"timeout": 2 * given.seconds, **dict.fromkeys(limits, given.seconds)}
        self._client = AsyncClient.from_config({"default": "c", "chains": {"c": chain}, "providers": providers})

    def forget(self) -> None:
        """Nothing is known of either target."""
        for target in ("t1:m", "t2:m"):
            self._client.reset(target)

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece."""
        reply = await self._client.chat(prompt)
        return reply.text, reply.finish_reason

    async def stream(self, prompt: str, pieces: list[str]) -> str | None:
        """The answer as it comes."""
        async with self._client.stream(prompt) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    pieces.append(event.text)  # noqa: PERF401 - one by one: what came before an error counts
        return stream.reply.finish_reason
