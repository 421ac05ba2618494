"""any-llm, from one provider to the next by hand. Asked by `benchmarks.speed` alone, for whole answers."""

from __future__ import annotations

from typing import Any

from any_llm import AnyLLM
from openai import OpenAIError

from benchmarks.peers.asking import Given, key

DISTRIBUTIONS = ("any-llm-sdk", "openai", "httpx2")
NAME = "any-llm by hand"
SETTINGS = "A kept provider for each target, `try` and `except`; `max_retries=0` and `timeout` where a limit is given."


class Asker:
    """Two providers."""

    def __init__(self, given: Given) -> None:
        retries: dict[str, Any] = {} if given.seconds is None else {"max_retries": 0}
        self._limit: dict[str, Any] = {} if given.seconds is None else {"timeout": given.seconds}
        self._providers: list[Any] = [
            AnyLLM.create("openai", api_key=key(number), api_base=url, **retries)
            for number, url in enumerate(given.urls, 1)
        ]

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece. Raises `RuntimeError` where nobody answered."""
        messages = [{"role": "user", "content": prompt}]
        for provider in self._providers:
            try:
                choice = (await provider.acompletion("m", messages, **self._limit)).choices[0]
            except OpenAIError:
                continue
            return choice.message.content or "", choice.finish_reason
        raise RuntimeError("nobody answered")
