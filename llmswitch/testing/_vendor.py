"""Vendors that are played in this process, by an httpx transport."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

__all__ = ["FakeVendor", "cuts", "respond"]


class _Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in just these pieces."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> Any:
        for chunk in self._chunks:
            yield chunk


class FakeVendor(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """
    An httpx transport that is the vendor. `answer` decides what comes back; `requests` are what came in, with bodies.

    `grant` answers requests for a token, and `None` to all others; they are kept in `renewals`. Use it as
    `Client(…, http_client=FakeVendor(…))`.
    """

    def __init__(
        self,
        answer: Callable[[httpx.Request], httpx.Response],
        grant: Callable[[httpx.Request], httpx.Response | None] = lambda _request: None,
    ) -> None:
        self.answer = answer
        self.grant = grant
        self.requests: list[httpx.Request] = []
        self.renewals: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        granted = self.grant(request)
        if granted is not None:
            self.renewals.append(request)
            return granted
        self.requests.append(request)
        return self.answer(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


def respond(status: int, content_type: str, chunks: Sequence[bytes]) -> httpx.Response:
    """A response whose body arrives in just these pieces."""
    return httpx.Response(status, headers={"content-type": content_type}, stream=_Chunks(chunks))


def cuts(events: Sequence[bytes], *, seed: int = 0) -> dict[str, list[bytes]]:
    """One stream in the ways in which a network may deliver it: whole, per event, per byte, and at random places."""
    whole = b"".join(events)
    ways = {"whole": [whole], "per_event": list(events), "per_byte": [whole[i : i + 1] for i in range(len(whole))]}
    chooser = random.Random(seed)  # noqa: S311 - repeatable, not secret
    for number in range(3):
        places = sorted(chooser.sample(range(1, len(whole)), min(len(whole) - 1, 1 + number * 9)))
        ways[f"random_{number}"] = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    return ways
