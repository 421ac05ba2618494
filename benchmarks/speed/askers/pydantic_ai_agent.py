"""Pydantic AI: an agent without tools."""

from __future__ import annotations

from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.speed.asking import KEY, MODEL

DISTRIBUTIONS = ("pydantic-ai-slim", "openai", "httpx")
NAME = "pydantic-ai"
IMPORT = "from pydantic_ai import Agent\nfrom pydantic_ai.models.openai import OpenAIChatModel"


class Asker:
    """One agent. What it is given is the last message alone, so that a long conversation is not its measure."""

    def __init__(self, url: str) -> None:
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        self._agent = Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)))

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """A whole answer."""
        text: str = (await self._agent.run(messages[-1]["content"])).output
        return text

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        count = 0
        async with self._agent.run_stream(messages[-1]["content"]) as run:
            async for _ in run.stream_text(delta=True, debounce_by=None):
                count += 1
        return count
