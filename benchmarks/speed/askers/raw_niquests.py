"""niquests, the fork of requests that has an async session."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import niquests

from benchmarks.speed.asking import KEY, line_with_text, streamed, text_of, whole

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
        answer = self._session.post(self._url, json=whole(messages, tools))
        answer.raise_for_status()
        return text_of(answer.json())

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        answer = self._session.post(self._url, json=streamed(messages), stream=True)
        return sum(line_with_text(line.decode()) for line in answer.iter_lines())

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        answer = await self._async.post(self._url, json=whole(messages))
        answer.raise_for_status()
        return text_of(answer.json())

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
