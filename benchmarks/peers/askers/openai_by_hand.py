"""OpenAI's SDK, from one client to the next by hand. Asked by `benchmarks.speed` alone, for whole answers."""

from __future__ import annotations

from typing import Any

from openai import AsyncOpenAI, OpenAIError

from benchmarks.peers.asking import Given, key

DISTRIBUTIONS = ("openai", "httpx2")
NAME = "openai by hand"
SETTINGS = "A kept client for each target, `try` and `except`; `max_retries=0` and `timeout` where a limit is given."


class Asker:
    """Two clients."""

    def __init__(self, given: Given) -> None:
        options: dict[str, Any] = {} if given.seconds is None else {"max_retries": 0, "timeout": given.seconds}
        self._clients = [
            AsyncOpenAI(base_url=url, api_key=key(number), **options) for number, url in enumerate(given.urls, 1)
        ]

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece. Raises `RuntimeError` where nobody answered."""
        messages: Any = [{"role": "user", "content": prompt}]
        for client in self._clients:
            try:
                choice = (await client.chat.completions.create(model="m", messages=messages)).choices[0]
            except OpenAIError:
                continue
            return choice.message.content or "", choice.finish_reason
        raise RuntimeError("nobody answered")
