"""httpx by hand: what the others are measured against. Asked by `benchmarks.speed` alone, for whole answers."""

from __future__ import annotations

import httpx

from benchmarks.peers.asking import Given, key

DISTRIBUTIONS = ("httpx",)
NAME = "httpx by hand"
SETTINGS = "A kept client, `try` and `except`. It has no retries."


class Asker:
    """One client for both targets."""

    def __init__(self, given: Given) -> None:
        self._targets = [(f"{url}/chat/completions", key(number)) for number, url in enumerate(given.urls, 1)]
        self._client = httpx.AsyncClient(timeout=given.seconds or 30)

    async def whole(self, prompt: str) -> tuple[str, str | None]:
        """The answer in one piece. Raises `RuntimeError` where nobody answered."""
        body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
        for url, secret in self._targets:
            try:
                answer = await self._client.post(url, json=body, headers={"authorization": f"Bearer {secret}"})
                answer.raise_for_status()
            except httpx.HTTPError:
                continue
            choice = answer.json()["choices"][0]
            return choice["message"]["content"], choice["finish_reason"]
        raise RuntimeError("nobody answered")
