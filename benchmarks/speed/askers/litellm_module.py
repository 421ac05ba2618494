"""LiteLLM, by the functions of its module."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # its import asks the internet for prices otherwise

import litellm

from benchmarks.speed.asking import KEY, MODEL

DISTRIBUTIONS = ("litellm", "openai", "httpx")
NAME = "litellm"
IMPORT = "import os\nos.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'\nimport litellm"


class Asker:
    """The module keeps its clients itself."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": KEY}

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        options = {"tools": tools} if tools else {}
        answer: Any = litellm.completion(messages=messages, num_retries=0, **options, **self._options)
        return answer.choices[0].message.content or ""

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        stream: Any = litellm.completion(messages=messages, stream=True, num_retries=0, **self._options)
        return sum(_text(chunk) for chunk in stream)

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        answer: Any = await litellm.acompletion(messages=messages, num_retries=0, **self._options)
        return answer.choices[0].message.content or ""

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        stream: Any = await litellm.acompletion(messages=messages, stream=True, num_retries=0, **self._options)
        count = 0
        async for chunk in stream:
            count += _text(chunk)
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        stream: Any = await litellm.acompletion(messages=messages, stream=True, num_retries=0, **self._options)
        while not _text(await anext(stream)):
            pass
        return stream


def _text(chunk: Any) -> bool:
    return any(choice.delta.content for choice in chunk.choices)
