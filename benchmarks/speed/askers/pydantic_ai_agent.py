"""Pydantic AI: an agent, which is given what was said before as its history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, Tool
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, SystemPromptPart, TextPart, UserPromptPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.speed.asking import KEY, MODEL, Once

DISTRIBUTIONS = ("pydantic-ai-slim", "openai", "httpx2")
NAME = "pydantic-ai"
IMPORT = "from pydantic_ai import Agent\nfrom pydantic_ai.models.openai import OpenAIChatModel"


class Asker:
    """One agent, and one with tools. Sync calls are its async ones, in the loop of the thread."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1"
        self._asked, self._with = Once(_asked), Once(lambda tools: Agent(self._model, tools=[_tool(t) for t in tools]))
        self._agent: Any = Agent(self._model)

    @cached_property
    def _model(self) -> Any:
        client = AsyncOpenAI(base_url=self._url, api_key=KEY)
        return OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        agent = self._with(tools) if tools else self._agent
        text: str = agent.run_sync(**self._asked(messages)).output
        return text

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        with self._agent.run_stream_sync(**self._asked(messages)) as run:
            return sum(1 for _ in run.stream_text(delta=True, debounce_by=None))

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        text: str = (await self._agent.run(**self._asked(messages))).output
        return text

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        count = 0
        async with self._agent.run_stream(**self._asked(messages)) as run:
            async for _ in run.stream_text(delta=True, debounce_by=None):
                count += 1
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        opened = self._agent.run_stream(**self._asked(messages))
        pieces: AsyncIterator[str] = (await opened.__aenter__()).stream_text(delta=True, debounce_by=None)
        await anext(pieces)
        return opened, pieces


def _asked(messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    parts = {"system": SystemPromptPart, "user": UserPromptPart}
    history: list[ModelMessage] = [
        ModelRequest(parts=[parts[each["role"]](content=each["content"])])
        if each["role"] in parts
        else ModelResponse(parts=[TextPart(content=each["content"])])
        for each in messages[:-1]
    ]
    return {"user_prompt": messages[-1]["content"], "message_history": history}


def _tool(tool: dict[str, Any]) -> Any:
    function = tool["function"]
    return Tool.from_schema(
        lambda **_: None, name=function["name"], description=function["description"], json_schema=function["parameters"]
    )
