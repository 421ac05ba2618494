"""Mirascope: a model with a fallback model. Asked by `benchmarks.speed` alone, for whole answers."""

from __future__ import annotations

from typing import Any

from mirascope import llm

from benchmarks.peers.asking import Given, key

DISTRIBUTIONS = ("mirascope", "openai", "httpx")
NAME = "mirascope fallback_models"
SETTINGS = (
    "`retry_model` with `fallback_models`; `max_retries=0` where a limit is given. OpenAI's SDK beneath keeps its own."
)


class Asker:
    """The model."""

    def __init__(self, given: Given) -> None:
        names = [f"openai/t{number}" for number in (1, 2)]
        for number, (name, url) in enumerate(zip(names, given.urls, strict=True), 1):
            provider = llm.providers.OpenAIProvider(api_key=key(number), base_url=url)
            llm.register_provider(provider, scope=name)
        options: dict[str, Any] = {} if given.seconds is None else {"max_retries": 0}
        first, second = (f"{name}:completions" for name in names)
        self._model: Any = llm.retry_model(first, fallback_models=[second], **options)

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece."""
        answer = await self._model.call_async([llm.messages.user(prompt)])
        return answer.text(), answer.finish_reason and str(answer.finish_reason)
