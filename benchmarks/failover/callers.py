"""Those who are measured: llmswitch, and the best that a person could write by hand on httpx. Each in four ways."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import httpx

from llmswitch import AsyncClient, Client, LLMSwitchError, TextDelta
from llmswitch._reply import Attempt

__all__ = ["PROMPT", "Answered", "AsyncOurs", "AsyncRaw", "Ours", "Raw", "config"]

PROMPT = "How high is the Zugspitze?"
KEY = "not-a-key"


@dataclass(slots=True)
class Answered:
    """
    What a call came to. `first`: the moment at which its text began, or at which it failed; `sent`: how many requests
    its trail counts; `error`: the class of its failure.
    """

    first: float
    sent: int = 0
    error: str | None = None


# By hand


class _ByHand:
    """
    Ask one URL after the other until one answers. `timeouts`: what httpx is told for each of them.

    The body is made once and both connections are kept: there is nothing left to leave out.
    """

    def __init__(self, urls: Sequence[str], timeouts: Sequence[float], *, stream: bool) -> None:
        message = {"role": "user", "content": PROMPT}
        self._body = json.dumps({"model": "m", "messages": [message], "stream": stream}).encode()
        self._headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        self._targets = [(f"{url}/chat/completions", timeout) for url, timeout in zip(urls, timeouts, strict=True)]
        self._stream = stream

    def _request(self, url: str, timeout: float) -> dict[str, Any]:
        return {"url": url, "content": self._body, "headers": self._headers, "timeout": timeout}


def _begins(line: str) -> bool:
    """Whether a line of a stream holds text."""
    if not line.startswith("data: {"):
        return False
    choices = json.loads(line[6:])["choices"]
    return bool(choices and choices[0]["delta"].get("content"))


class Raw(_ByHand):
    """By hand, blocking."""

    def __init__(self, urls: Sequence[str], timeouts: Sequence[float], *, stream: bool) -> None:
        super().__init__(urls, timeouts, stream=stream)
        self._client = httpx.Client()

    def ask(self) -> Answered:
        """Raises `RuntimeError` where nobody answered."""
        for url, timeout in self._targets:
            try:
                first = self._streamed(url, timeout) if self._stream else self._whole(url, timeout)
            except httpx.HTTPError:
                continue
            if first is not None:
                return Answered(first)
        raise RuntimeError("nobody answered")

    def _whole(self, url: str, timeout: float) -> float | None:
        response = self._client.post(**self._request(url, timeout))
        if response.status_code != 200:
            return None
        assert response.json()["choices"][0]["message"]["content"]
        return monotonic()

    def _streamed(self, url: str, timeout: float) -> float | None:
        first = None
        with self._client.stream("POST", **self._request(url, timeout)) as response:
            if response.status_code != 200:
                response.read()  # so that the connection is kept
                return None
            for line in response.iter_lines():
                if _begins(line) and first is None:
                    first = monotonic()
        return first


class AsyncRaw(_ByHand):
    """By hand, awaiting."""

    def __init__(self, urls: Sequence[str], timeouts: Sequence[float], *, stream: bool) -> None:
        super().__init__(urls, timeouts, stream=stream)
        self._client = httpx.AsyncClient()

    async def ask(self) -> Answered:
        """Raises `RuntimeError` where nobody answered."""
        for url, timeout in self._targets:
            try:
                first = await (self._streamed(url, timeout) if self._stream else self._whole(url, timeout))
            except httpx.HTTPError:
                continue
            if first is not None:
                return Answered(first)
        raise RuntimeError("nobody answered")

    async def _whole(self, url: str, timeout: float) -> float | None:
        response = await self._client.post(**self._request(url, timeout))
        if response.status_code != 200:
            return None
        assert response.json()["choices"][0]["message"]["content"]
        return monotonic()

    async def _streamed(self, url: str, timeout: float) -> float | None:
        first = None
        async with self._client.stream("POST", **self._request(url, timeout)) as response:
            if response.status_code != 200:
                await response.aread()
                return None
            async for line in response.aiter_lines():
                if _begins(line) and first is None:
                    first = monotonic()
        return first


# llmswitch


def config(urls: Sequence[str], limits: Mapping[str, float]) -> dict[str, Any]:
    """A chain of t1, t2, … at these addresses."""
    os.environ["BENCH_KEY"] = KEY
    providers = {
        f"t{number}": {"dialect": "openai", "base_url": url, "api_key": {"env": "BENCH_KEY"}}
        for number, url in enumerate(urls, 1)
    }
    chain = {"targets": [f"{name}:m" for name in providers], **limits}
    return {"default": "c", "chains": {"c": chain}, "providers": providers}


def _sent(attempts: Sequence[Attempt]) -> int:
    return sum(attempt.skipped_because is None for attempt in attempts)


class Ours:
    """llmswitch, blocking."""

    def __init__(self, urls: Sequence[str], limits: Mapping[str, float], *, stream: bool) -> None:
        self._client = Client.from_config(config(urls, limits))
        self._stream = stream

    def reset(self) -> None:
        """Forget that the first target ever failed."""
        self._client.reset("t1:m")

    def ask(self) -> Answered:
        """A failure is told, not raised."""
        try:
            if not self._stream:
                reply = self._client.chat(PROMPT)
                return Answered(monotonic(), _sent(reply.attempts))
            first = 0.0
            with self._client.stream(PROMPT) as stream:
                for event in stream:
                    if not first and type(event) is TextDelta:
                        first = monotonic()
            return Answered(first, _sent(stream.reply.attempts))
        except LLMSwitchError as error:
            return Answered(monotonic(), _sent(error.attempts), type(error).__name__)


class AsyncOurs:
    """llmswitch, awaiting."""

    def __init__(self, urls: Sequence[str], limits: Mapping[str, float], *, stream: bool) -> None:
        self._client = AsyncClient.from_config(config(urls, limits))
        self._stream = stream

    def reset(self) -> None:
        """Forget that the first target ever failed."""
        self._client.reset("t1:m")

    async def ask(self) -> Answered:
        """A failure is told, not raised."""
        try:
            if not self._stream:
                reply = await self._client.chat(PROMPT)
                return Answered(monotonic(), _sent(reply.attempts))
            first = 0.0
            async with self._client.stream(PROMPT) as stream:
                async for event in stream:
                    if not first and type(event) is TextDelta:
                        first = monotonic()
            return Answered(first, _sent(stream.reply.attempts))
        except LLMSwitchError as error:
            return Answered(monotonic(), _sent(error.attempts), type(error).__name__)
