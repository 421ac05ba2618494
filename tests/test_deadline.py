"""A limit around several calls."""

from __future__ import annotations

import asyncio
from time import monotonic

import httpx
import pytest

import llmswitch
from llmswitch import AsyncClient, Client, DeadlineExceeded, InvalidRequest
from llmswitch._deadline import inherited
from tests.rows import rows

CONFIG = {"providers": {"a": {"dialect": "openai", "base_url": "http://a.local/v1"}}, "default": "a:m"}


class Limits(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Notes how long each request may take."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json={"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


def test_calls_inside_inherit_what_is_left() -> None:
    """Each call ends by the outer limit, whatever its own; outside of it nothing is left of it."""
    vendor = Limits()
    client = Client.from_config(CONFIG, http_client=vendor)
    with llmswitch.deadline(10):
        client.chat("Hi")
        client.chat("Hi", timeout=60)
        client.chat("Hi", timeout=2)
        with llmswitch.deadline(100):
            client.chat("Hi")
        with llmswitch.deadline(1):
            client.chat("Hi")
    client.chat("Hi")
    assert [10, 10, 2, 10, 1, 120] == [round(seconds) for seconds in vendor.seen]
    assert inherited() is None


def test_a_stream_takes_the_limit_where_it_is_made() -> None:
    """A stream that is read after the block still ends by the limit of the block."""
    vendor = Limits()
    client = Client.from_config(CONFIG, http_client=vendor)
    with llmswitch.deadline(10):
        stream = client.stream("Hi")
    list(stream)
    assert [10] == [round(seconds) for seconds in vendor.seen]


def test_tasks_inside_inherit_it() -> None:
    """A task that is made inside has the limit, and its own shorter one is not seen outside."""

    async def main() -> list[int]:
        vendor = Limits()
        client = AsyncClient.from_config(CONFIG, http_client=vendor)

        async def shorter() -> None:
            with llmswitch.deadline(3):
                await client.chat("Hi")

        with llmswitch.deadline(10):
            await asyncio.gather(client.chat("Hi"), shorter())
            await client.chat("Hi")
        return sorted(round(seconds) for seconds in vendor.seen)

    assert [3, 10, 10] == asyncio.run(main())


def test_where_nothing_is_left_nothing_is_sent() -> None:
    """A call that begins after the limit fails at once."""
    vendor = Limits()
    client = Client.from_config(CONFIG, http_client=vendor)
    began = monotonic()
    with llmswitch.deadline(0.01):
        while monotonic() - began < 0.02:
            pass
        with pytest.raises(DeadlineExceeded, match="ran out"):
            client.chat("Hi")
    assert [] == vendor.seen


@rows("seconds", [0, -1, float("inf"), float("nan"), True, "10", None])
def test_what_is_no_limit_is_refused(seconds: object) -> None:
    """Only a number of seconds greater than 0 is one."""
    with pytest.raises(InvalidRequest, match="greater than 0"), llmswitch.deadline(seconds):  # type: ignore[arg-type]
        pass
