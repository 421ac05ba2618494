"""aiohttp as its users write it. It is async alone."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import aiohttp

from benchmarks.speed.asking import KEY, line_with_text, streamed, text_of, whole

DISTRIBUTIONS = ("aiohttp",)
NAME = "aiohttp"
IMPORT = "import aiohttp"


class Asker:
    """One session, with room for more than the hundred connections that are usual; made in the loop that it is for."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"

    @cached_property
    def _session(self) -> aiohttp.ClientSession:
        headers = {"authorization": f"Bearer {KEY}"}
        return aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=2000))

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """A whole answer."""
        async with self._session.post(self._url, json=whole(messages)) as answer:
            answer.raise_for_status()
            return text_of(await answer.json())

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, to its end."""
        count = 0
        async with self._session.post(self._url, json=streamed(messages)) as answer:
            async for line in answer.content:
                count += line_with_text(line.decode().rstrip())
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        answer = await self._session.post(self._url, json=streamed(messages))
        while not line_with_text((await answer.content.readline()).decode().rstrip()):
            pass
        return answer
