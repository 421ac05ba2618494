"""Pydantic AI: an agent with a FallbackModel."""

from __future__ import annotations

from pydantic_ai import Agent
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from benchmarks.peers.asking import Given, key

DISTRIBUTIONS = ("pydantic-ai-slim", "openai", "httpx", "httpx2")
NAME = "Pydantic AI FallbackModel"
SETTINGS = (
    "`fallback_on` as it comes (`ModelAPIError`). Model settings: `max_retries=0`, as its documentation advises "
    "for the models of a FallbackModel; `timeout` (for each read) and `first_event_timeout` (streams) or "
    "`request_timeout` (whole answers) are the limit."
)


class Asker:
    """The agent."""

    def __init__(self, given: Given) -> None:
        models = [
            OpenAIChatModel("m", provider=OpenAIProvider(base_url=url, api_key=key(number)))
            for number, url in enumerate(given.urls, 1)
        ]
        self._agent = Agent(FallbackModel(*models))
        self._whole, self._stream = ModelSettings(), ModelSettings()
        if given.seconds is not None:
            self._whole = ModelSettings(max_retries=0, timeout=given.seconds, request_timeout=given.seconds)
            self._stream = ModelSettings(max_retries=0, timeout=given.seconds, first_event_timeout=given.seconds)

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece."""
        result = await self._agent.run(prompt, model_settings=self._whole)
        return result.output, result.response.finish_reason

    async def stream(self, prompt: str, pieces: list[str]) -> str | None:
        """The answer as it comes."""
        async with self._agent.run_stream(prompt, model_settings=self._stream) as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                pieces.append(piece)  # noqa: PERF401 - one by one: what came before an error counts
            finish: str | None = result.response.finish_reason
            return finish
