"""niquests, the fork of requests that has an async session."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import niquests

from benchmarks.speed.asking import KEY, MODEL, line_with_text, streamed

DISTRIBUTIONS = ("niquests",)
NAME = "niquests"
IMPORT = "import niquests"


class Asker:
    """A session of each kind, with room for more connections than are usual."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._options: dict[str, Any] = {"headers": {"authorization": f"Bearer {KEY}"}, "pool_maxsize": 2000}

    @cached_property
    def _session(self) -> Any:
        return niquests.Session(**self._options)

    @cached_property
    def _async(self) -> Any:
        return niquests.AsyncSession(**self._options)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        body = {"model": MODEL, "messages": messages, **({"tools": tools} if tools else {})}
        answer = self._session.post(self._url, json=body)
        answer.raise_for_status()
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        answer = self._session.post(self._url, json=streamed(messages), stream=True)
        return sum(line_with_text(line.decode()) for line in answer.iter_lines())

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        answer = await self._async.post(self._url, json={"model": MODEL, "messages": messages})
        answer.raise_for_status()
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        answer = await self._async.post(self._url, json=streamed(messages), stream=True)
        count = 0
        async for line in answer.iter_lines():
            count += line_with_text(line.decode())
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        answer = await self._async.post(self._url, json=streamed(messages), stream=True)
        lines = answer.iter_lines()
        while not line_with_text((await anext(lines)).decode()):
            pass
        return answer, lines
