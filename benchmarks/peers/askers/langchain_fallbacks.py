"""LangChain: a ChatOpenAI with fallbacks."""

from __future__ import annotations

from typing import Any

from langchain_openai import ChatOpenAI

from benchmarks.peers.asking import Given, key

DISTRIBUTIONS = ("langchain-core", "langchain-openai", "openai", "httpx")
NAME = "LangChain with_fallbacks"
SETTINGS = (
    "`exceptions_to_handle` as it comes (`Exception`). `max_retries=0`, as its documentation advises with fallbacks; "
    "`timeout` (for each read) and `stream_chunk_timeout` (between parsed chunks) are the limit."
)


class Asker:
    """The runnable."""

    def __init__(self, given: Given) -> None:
        options: dict[str, Any] = {}
        if given.seconds is not None:
            options = {"max_retries": 0, "timeout": given.seconds, "stream_chunk_timeout": given.seconds}
        first, second = (
            ChatOpenAI(**{"model": "m", "base_url": url, "api_key": key(number), **options})
            for number, url in enumerate(given.urls, 1)
        )
        self._chain = first.with_fallbacks([second])

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece."""
        message = await self._chain.ainvoke(prompt)
        return str(message.text), message.response_metadata.get("finish_reason")

    async def stream(self, prompt: str, pieces: list[str]) -> str | None:
        """The answer as it comes."""
        finish = None
        async for chunk in self._chain.astream(prompt):
            finish = chunk.response_metadata.get("finish_reason") or finish
            if chunk.text:
                pieces.append(str(chunk.text))
        return finish
