"""What a client may take: the size of a body, requests a minute, requests at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from llmswitch._config import ServerKey
from llmswitch._errors import InvalidRequest, LLMSwitchError, LocalOverload, RateLimited
from llmswitch._framing.errors import BodyTooLarge, FramingError
from llmswitch._framing.inflate import Inflater
from llmswitch._json import JSONInvalid, loads

from .gate import Receive, Scope

__all__ = ["Declined", "Gone", "Minutes", "Room", "header", "read_json"]

BODY_SECONDS = 60.0  # for a body to arrive


class Declined(Exception):
    """The request is not taken; `status` where the protocol's own for that error is not the right one."""

    def __init__(self, error: LLMSwitchError, status: int | None = None) -> None:
        super().__init__()
        self.error = error
        self.status = status


class Gone(Exception):
    """The client went away before its request was whole."""


def header(scope: Scope, wanted: bytes) -> str:
    """The header of that name; empty where there is none."""
    return next((value.decode("latin-1").strip() for name, value in scope["headers"] if name == wanted), "")


async def read_json(scope: Scope, receive: Receive, limit: int) -> Any:
    """The JSON of the body, which is never held where it is over the limit. Raises `Declined`, `Gone`."""
    kind = header(scope, b"content-type").partition(";")[0].strip().lower()
    if kind != "application/json":  # what a page in a browser may send unasked is something else
        raise Declined(InvalidRequest("content-type must be application/json", field="content-type"), 415)
    length = header(scope, b"content-length")
    if length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read(scope, receive, limit)
    except TimeoutError:
        raise Declined(InvalidRequest("the body of the request did not arrive in time"), 408) from None
    problem = None
    try:
        return loads(body)
    except JSONInvalid as wrong:
        problem = str(wrong)
    finally:
        del body
    raise Declined(InvalidRequest(f"the body can't be read: {problem}"))


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes:
    body = bytearray()
    problem: Declined | None = None
    try:
        inflater = Inflater(header(scope, b"content-encoding"), limit)
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise Gone
            for piece in inflater.feed(message.get("body", b"")):
                body += piece
            more = message.get("more_body", False)
        inflater.finish()
    except BodyTooLarge:
        problem = _too_large(limit)
    except FramingError:
        problem = Declined(InvalidRequest("content-encoding must be gzip or deflate, and the body what it says"), 415)
    if problem is not None:
        raise problem
    return bytes(body)


def _too_large(limit: int) -> Declined:
    return Declined(InvalidRequest(f"the body is over {limit} bytes, which is what this gateway takes"), 413)


class Minutes:
    """Requests of each key in the last sixty seconds, in this process."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._taken: dict[str, deque[float]] = {}

    def take(self, key: ServerKey) -> None:
        """One more request. Raises `Declined` where the minute is full."""
        limit = key.requests_per_minute
        if limit is None:
            return
        now = self._clock()
        taken = self._taken.setdefault(key.name, deque())
        while taken and taken[0] <= now - 60:
            taken.popleft()
        if len(taken) >= limit:
            error = RateLimited(f"this key may send {limit} requests a minute")
            error.retry_after = round(taken[0] + 60 - now, 3)
            raise Declined(error, 429)
        taken.append(now)


class Room:
    """Requests that are under way, and the end of the process that may come upon them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0
        self.closing = False
        self.over = asyncio.Event()

    def __enter__(self) -> None:
        """Raises `Declined` where there is no room, or soon nobody."""
        if self.closing:
            raise Declined(LocalOverload("the gateway is shutting down; ask again"), 503)
        if self.taken >= self._most:
            error = LocalOverload(f"{self._most} requests are under way, which is what this gateway takes; ask again")
            error.retry_after = 1.0
            raise Declined(error, 503)
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1
