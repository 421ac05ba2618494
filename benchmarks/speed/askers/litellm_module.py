"""LiteLLM, by the functions of its module."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # its import asks the internet for prices otherwise

import litellm

from benchmarks.speed.asking import KEY, MODEL, AsyncStreams, Streams

DISTRIBUTIONS = ("litellm", "openai", "httpx", "aiohttp")
NAME = "litellm"
IMPORT = "import os\nos.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'\nimport litellm"


class Asker(Streams, AsyncStreams):
    """The module keeps its clients itself."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": KEY}

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        options = {"tools": tools} if tools else {}
        answer: Any = litellm.completion(messages=messages, **options, **self._options)
        return answer.choices[0].message.content or ""

    def chunks(self, messages: list[dict[str, Any]]) -> Iterable[Any]:
        """A stream, begun."""
        stream: Iterable[Any] = litellm.completion(messages=messages, stream=True, **self._options)
        return stream

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        answer: Any = await litellm.acompletion(messages=messages, **self._options)
        return answer.choices[0].message.content or ""

    async def achunks(self, messages: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """The same, awaited."""
        stream: AsyncIterator[Any] = await litellm.acompletion(messages=messages, stream=True, **self._options)
        return stream
