"""httpx as its users write it: a client that is kept, `json=`, `.json()`, lines. The measure of all others."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import httpx

from benchmarks.speed.asking import KEY, line_with_text, streamed, text_of, whole

DISTRIBUTIONS = ("httpx",)
NAME = "httpx"
IMPORT = "import httpx, pydantic\nclass M(pydantic.BaseModel):\n    a: int"


class Asker:
    """Two clients, with room for more than the hundred connections that are usual."""

    library: Any = httpx

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"

    def _client_of(self, kind: str) -> Any:
        limits = self.library.Limits(max_connections=2000, max_keepalive_connections=2000)
        return getattr(self.library, kind)(headers={"authorization": f"Bearer {KEY}"}, limits=limits, timeout=30)

    @cached_property
    def _client(self) -> Any:
        return self._client_of("Client")

    @cached_property
    def _async(self) -> Any:
        return self._client_of("AsyncClient")

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        answer = self._client.post(self._url, json=whole(messages, tools))
        answer.raise_for_status()
        return text_of(answer.json())

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, read to its end so that the connection is kept."""
        count = 0
        with self._client.stream("POST", self._url, json=streamed(messages)) as answer:
            for line in answer.iter_lines():
                count += line_with_text(line)
        return count

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        answer = await self._async.post(self._url, json=whole(messages))
        answer.raise_for_status()
        return text_of(answer.json())

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        count = 0
        async with self._async.stream("POST", self._url, json=streamed(messages)) as answer:
            async for line in answer.aiter_lines():
                count += line_with_text(line)
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        request = self._async.build_request("POST", self._url, json=streamed(messages))
        answer = await self._async.send(request, stream=True)
        lines = answer.aiter_lines()
        while not line_with_text(await anext(lines)):
            pass
        return answer, lines
