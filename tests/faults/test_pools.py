"""A pool that loses connections is noticed and replaced; one that is only busy is not."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from llmswitch import AsyncClient, Client
from llmswitch._pools import Pool
from llmswitch.testing.fault_server import Close, FaultServer, Pause, ReadRequest, Send, WaitFor, chunk, event_bytes
from tests.everyday import sizes
from tests.faults.bench import (
    ENGINE,
    HEALTHY,
    NOTHING,
    PATIENT,
    PROMPT,
    STOP,
    WAY_ASYNC,
    WAY_SYNC,
    Bench,
    Script,
    adjust,
    answering,
    in_use,
    pooled,
    sse_head,
    text,
)

pytestmark = pooled

SAID = "the HTTP library lost"


def pool_of(client: Client | AsyncClient) -> Pool:
    """The one pool of the client; in the loop where it is async."""
    (pool,) = client._connections.registry()._pools.values()
    return pool


class Lost:
    """A connection as a cancellation in the wrong place leaves it: in use, by no request."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: name == "is_connected"

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def lose(pool: Pool, number: int) -> None:
    """So many connections are lost."""
    pool.transport._pool._connections += [Lost() for _ in range(number)]


async def storm(client: AsyncClient, url: str, until: int) -> None:
    """Requests past our own care for the pool, each cancelled some turns later, until it has lost so many."""
    pool = pool_of(client)
    request = pool.engine.http.Request
    limits = {"connect": 1.0, "read": 1.0, "write": 1.0, "pool": 0.05}

    async def ask() -> None:
        asked = request("POST", f"{url}/chat/completions", content=b"{}", extensions={"timeout": limits})
        answer = await pool.transport.handle_async_request(asked)
        await answer.aclose()

    for turns in list(range(20)) * 20:
        task = asyncio.create_task(ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if pool.lost() >= until:
            return
    raise AssertionError("the pool could not be made to leak")


@pytest.mark.slow
@pytest.mark.skipif(ENGINE != "httpx", reason="the other library does not lose them")
def test_row_92_what_is_lost_past_us_is_given_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool whose every connection was lost, by cancellations that we could not see, is replaced by the next call."""
    monkeypatch.setattr("llmswitch._connections._MOST", 8)
    bench = Bench(WAY_ASYNC, ExitStack())

    async def main(server: FaultServer) -> None:
        client = AsyncClient.from_config(bench.config(server.url, limits={**PATIENT, "connect_timeout": 0.5}))
        assert HEALTHY == (await client.chat(PROMPT)).text
        adjust(client, pool=0.2)
        await storm(client, server.url, until=8)
        assert HEALTHY == (await client.chat(PROMPT)).text
        assert HEALTHY == (await client.chat(PROMPT)).text
        assert NOTHING == in_use(client)
        await client.aclose()

    with FaultServer([ReadRequest(), Pause(0.002), *answering()[1:]]) as server:
        asyncio.run(main(server))
        assert server.wait_closed()
    assert 1 == caplog.text.count(SAID)


@pytest.mark.parametrize("everything", [False, True], ids=["some", "all"])
def test_a_pool_that_lost_connections_is_replaced(
    whole: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, everything: bool
) -> None:
    """Where some are lost for longer than the limit on connecting, or a call waits in vain; the log says so once."""
    monkeypatch.setattr("llmswitch._connections._MOST", 8)
    ends = [Close()] if everything else []  # or the one that was kept would do
    whole.open([*answering("from T1"), *ends], alone=True, limits={**PATIENT, "connect_timeout": 0.1})

    async def losing() -> Pool:
        pool = pool_of(whole.client)
        lose(pool, 8 if everything else 3)
        return pool

    assert "from T1" == whole.ask().text
    pool = whole.run(losing())
    time.sleep(0.11)
    if everything:
        adjust(whole.client, pool=0.1)
    assert "from T1" == whole.ask().text
    if not everything:
        assert not pool.retired, "it was seen once"
        time.sleep(0.11)
        assert "from T1" == whole.ask().text
    assert pool.retired
    assert "from T1" == whole.ask().text
    record = [record for record in caplog.records if SAID in record.message]
    assert [logging.WARNING] == [each.levelno for each in record]
    assert whole.t1.url.removesuffix("/v1") in record[0].message
    whole.settle()
    limit = time.monotonic() + 1
    while whole.t1.open > 1 and time.monotonic() < limit:
        time.sleep(0.01)
    assert whole.t1.open <= 1, "what the old one kept is closed; the new one may keep the last"


def test_what_is_in_flight_goes_on(whole: Bench) -> None:
    """The old pool is closed when the last answer in it has ended, not before."""
    go = threading.Event()
    slow: Script = [
        ReadRequest(),
        Send(sse_head() + chunk(event_bytes(text("one ")))),
        WaitFor(go),
        Send(chunk(event_bytes(text("two"))) + chunk(event_bytes(STOP)) + b"0\r\n\r\n"),
    ]
    whole.open(slow, answering("fresh"), alone=True, limits={**PATIENT, "connect_timeout": 0.02})
    client: Any = whole.client

    async def take(stream: Any) -> str:
        return str((await anext(stream)).text)

    async def rest(stream: Any) -> str:
        return "".join([piece async for piece in stream.text])

    async def begin() -> tuple[Any, str, Pool]:
        stream = client.stream(PROMPT)
        first = next(stream).text if whole.way.sync else await take(stream)
        pool = pool_of(client)
        lose(pool, 1)
        return stream, first, pool

    stream, first, pool = whole.run(begin())
    for _ in range(3):
        assert "fresh" == whole.ask().text
        time.sleep(0.03)
    assert pool.retired
    assert 1 == len(pool.calls)
    go.set()
    second = "".join(stream.text) if whole.way.sync else whole.run(rest(stream))
    assert "one two" == first + second
    whole.settle()
    assert NOTHING["connections"] == len([each for each in pool.transport._pool.connections if not each.is_closed()])


@pytest.mark.parametrize("rounds", sizes(1, 4))
def test_a_pool_that_is_busy_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rounds: int
) -> None:
    """However often it is looked at: what is connecting, waiting, answering or closing is not lost."""
    monkeypatch.setattr("llmswitch._pools._LOOKS", 0.0)
    bench = Bench(WAY_ASYNC, ExitStack())
    seen: list[int] = []
    lost = Pool.lost

    def looking(pool: Pool) -> int:
        seen.append(lost(pool))
        return seen[-1]

    monkeypatch.setattr(Pool, "lost", looking)

    async def main(config: Any) -> None:
        async with AsyncClient.from_config(config) as client:
            for _ in range(rounds):
                tasks = [asyncio.create_task(client.chat(PROMPT)) for _ in range(20)]
                await asyncio.sleep(0.01)
                for task in tasks[::4]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    with FaultServer([ReadRequest(), Pause(0.005), *answering()[1:]]) as server:
        asyncio.run(main(bench.config(server.url, limits=PATIENT)))
        with Client.from_config(Bench(WAY_SYNC, ExitStack()).config(server.url, limits=PATIENT)) as client:
            threads = [
                threading.Thread(target=lambda: [client.chat(PROMPT) for _ in range(rounds)], daemon=True)
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
    assert len(seen) > 20 * rounds
    assert {0} == set(seen)
    assert SAID not in caplog.text
