"""httpx as its users write it: a client that is kept, `json=`, `.json()`, lines. The measure of all others."""

from __future__ import annotations

import json
from typing import Any

import httpx

from benchmarks.speed.asking import KEY, MODEL

DISTRIBUTIONS = ("httpx",)
NAME = "httpx"
IMPORT = "import httpx, pydantic\nclass M(pydantic.BaseModel):\n    a: int"


class Asker:
    """Two clients, with room for more than the hundred connections that are usual."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._headers = {"authorization": f"Bearer {KEY}"}
        limits = httpx.Limits(max_connections=2000, max_keepalive_connections=2000)
        self._client = httpx.Client(headers=self._headers, limits=limits, timeout=30)
        self._async = httpx.AsyncClient(headers=self._headers, limits=limits, timeout=30)

    def call(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """A whole answer."""
        body = {"model": MODEL, "messages": messages, **({"tools": tools} if tools else {})}
        answer = self._client.post(self._url, json=body)
        answer.raise_for_status()
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    def stream(self, messages: list[dict[str, Any]]) -> int:
        """A stream, read to its end so that the connection is kept."""
        count = 0
        with self._client.stream("POST", self._url, json=_streamed(messages)) as answer:
            for line in answer.iter_lines():
                count += _text(line)
        return count

    async def acall(self, messages: list[dict[str, Any]]) -> str:
        """The same, awaited."""
        answer = await self._async.post(self._url, json={"model": MODEL, "messages": messages})
        answer.raise_for_status()
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    async def astream(self, messages: list[dict[str, Any]]) -> int:
        """The same, awaited."""
        count = 0
        async with self._async.stream("POST", self._url, json=_streamed(messages)) as answer:
            async for line in answer.aiter_lines():
                count += _text(line)
        return count

    async def aopen(self, messages: list[dict[str, Any]]) -> object:
        """A stream that stays open."""
        request = self._async.build_request("POST", self._url, json=_streamed(messages))
        answer = await self._async.send(request, stream=True)
        lines = answer.aiter_lines()
        while not _text(await anext(lines)):
            pass
        return answer, lines


def _streamed(messages: list[dict[str, Any]]) -> dict[str, Any]:
    return {"model": MODEL, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}


def _text(line: str) -> bool:
    """Whether a line has a piece of text."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return False
    return any(choice["delta"].get("content") for choice in json.loads(line[6:])["choices"])
