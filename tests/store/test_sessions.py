"""Sessions in a real Redis: two processes keep to the same target, and none waits long for a store that is gone."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from llmswitch import AsyncClient, Client
from tests.test_balancing import Vendor, config

pytestmark = pytest.mark.slow


def test_two_processes_agree_about_a_session(redis_server, caplog):
    """Whom one asked last the other asks first; what is kept ends and names nobody; without a store both go on."""
    redis_server.start()
    vendor = Vendor()
    given = {**config(["a:m", "b:m"], by="order", sticky=60), "store": {"url": redis_server.url}}
    http = httpx.Client(transport=httpx.MockTransport(vendor))

    async def asked(*names: str) -> list[str]:
        http = httpx.AsyncClient(transport=httpx.MockTransport(vendor))
        async with AsyncClient(config=given, http_client=http) as client:
            return [(await client.chat("?", session=name)).provider for name in names]

    with Client(config=given, http_client=http) as one:
        one.isolate("a:m")
        assert "b" == one.chat("?", session="customer-7").provider
        one.reset("a:m")
        assert ["b", "a"] == asyncio.run(asked("customer-7", "customer-8"))
        names = redis_server.admin.keys("llmswitch:1:session:*")
        assert 2 == len(names)
        assert all(0 < redis_server.admin.pttl(name) <= 60_000 for name in names)
        assert not any("customer" in name for name in names)
        redis_server.pause()
        began = time.monotonic()
        assert ["b", "b"] == [one.chat("?", session="customer-7").provider for _ in range(2)]
        assert time.monotonic() - began < 1.0
        assert "each process remembers its sessions by itself" in caplog.text
        redis_server.go_on()
