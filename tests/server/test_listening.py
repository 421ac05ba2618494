"""The socket that the gateway listens on."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from time import monotonic

import pytest

from llmswitch._config import ServerConfig
from llmswitch.server import arriving
from llmswitch.server.gate import answer_json
from llmswitch.server.run import _listen, _server


def test_an_answer_is_not_held_back():
    """Who is accepted has no delay between packets: an answer, or an event of a stream, would be 40 ms late by it."""
    with _listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()) as client:
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client


@pytest.mark.parametrize("begins", ["silence", "a drop at a time", "after an answer"])
def test_a_head_that_does_not_arrive_ends_the_connection(monkeypatch, begins):
    """Within the limit, however it drips, and though a request was answered before; an answer may take longer."""
    monkeypatch.setattr(arriving, "HEAD_SECONDS", 0.2)
    whole = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"

    async def app(_scope, _receive, send):
        await asyncio.sleep(0.3)
        await answer_json(send, 200, {})

    async def drip(writer):
        with suppress(ConnectionError):
            for byte in whole:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)

    async def connect(listening):
        server = _server(app, ServerConfig())
        serving = asyncio.create_task(server.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        if begins == "after an answer":
            writer.write(whole)
            assert b"200 OK" in await reader.readuntil(b"{}")
        started = monotonic()
        dripping = asyncio.create_task(drip(writer)) if begins != "silence" else None
        with suppress(ConnectionError):
            assert b"" == await asyncio.wait_for(reader.read(), 5)
        took = monotonic() - started
        if dripping is not None:
            await dripping
        writer.close()
        server.should_exit = True
        await serving
        return took

    with _listen("127.0.0.1", 0) as listening:
        assert 0.1 < asyncio.run(connect(listening)) < 1.2
