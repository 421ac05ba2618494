"""The caller goes away: cancelled at any moment, out of a loop, without a word; and deadlines, which are his too."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from llmswitch import AsyncClient, Client
from llmswitch.testing.fault_server import (
    FaultServer,
    Hang,
    Pause,
    ReadRequest,
    Reset,
    Send,
    SendForever,
    SendSlowly,
    Step,
    black_hole,
    chunk,
    event_bytes,
    sse,
    sse_head,
)
from tests.everyday import mostly_slow, sizes
from tests.faults.bench import (
    DONE,
    HEALTHY,
    NOTHING,
    PATIENT,
    PROMPT,
    ROLE,
    STOP,
    WAY_ASYNC,
    Bench,
    Script,
    adjust,
    answering,
    in_use,
    pooled,
    refusing,
    text,
    words,
)
from tests.rows import rows

only_on_linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a full queue drops connections on Linux")

ENDLESS: Script = [ReadRequest(), Send(sse_head()), SendForever(chunk(event_bytes(text("w "))), every=0.005)]
ENDED_BUT_OPEN: Script = [ReadRequest(), Send(sse([*words(3), STOP, DONE], ended=False)), Hang()]


@asynccontextmanager
async def calling(*urls: str, **limits: float) -> AsyncIterator[AsyncClient]:
    """An async client with a chain of these servers."""
    config = Bench(WAY_ASYNC, ExitStack()).config(*urls, limits={**PATIENT, **limits})
    client = AsyncClient.from_config(config)
    try:
        yield client
    finally:
        await client.aclose()


async def read(client: AsyncClient, *, stream: bool) -> str:
    """The text of an answer, asked for in either way."""
    if not stream:
        return (await client.chat(PROMPT)).text
    async with client.stream(PROMPT) as events:
        return "".join([piece async for piece in events.text])


WHERE: dict[str, Script] = {
    "first-token": [ReadRequest(), Hang()],
    "headers": [ReadRequest(), SendSlowly(sse_head(), every=0.05)],
    "middle": ENDLESS,
    "backoff": refusing(429, {"error": {"message": "slow"}}, {"retry-after": "5"}),
    "close": ENDED_BUT_OPEN,
}


@rows("stream", [False, True], ids=["whole", "stream"])
@rows("times", [1, 2, 3], ids=["once", "twice", "thrice"])
@rows("where", WHERE)
def test_row_92_cancelled(where: str, times: int, stream: bool) -> None:
    """A call that is cancelled ends as cancelled, asks nobody else, and leaves nothing behind, however often."""
    alone = where in ("backoff", "close")

    async def run(t1: FaultServer, t2: FaultServer) -> None:
        async with calling(*([t1.url] if alone else [t1.url, t2.url])) as client:
            task = asyncio.create_task(read(client, stream=stream))
            await asyncio.sleep(0.04)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.02)
            assert NOTHING == in_use(client)
            assert len(asyncio.all_tasks()) == 1
        assert [] == t2.requests

    with FaultServer(WHERE[where]) as t1, FaultServer(answering()) as t2:
        asyncio.run(run(t1, t2))
        assert t1.wait_closed()


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 2], ids=["once", "twice"])
@pytest.mark.parametrize("warm", [pytest.param(False, marks=pytest.mark.slow), True], ids=["fresh", "kept"])
def test_row_92_cancelled_at_every_step(times: int, warm: bool) -> None:
    """A call may be cancelled at any of the points at which it waits, on a fresh connection or on a kept one."""

    async def run(server: FaultServer) -> None:
        found = []
        for steps in range(40):
            async with calling(server.url) as client:
                if warm:
                    await client.chat(PROMPT)
                task = asyncio.create_task(read(client, stream=bool(steps % 2)))
                for _ in range(steps):
                    await asyncio.sleep(0)
                for _ in range(times):
                    task.cancel()
                    await asyncio.sleep(0)
                await asyncio.gather(task, return_exceptions=True)
                await asyncio.sleep(0.005)
                if in_use(client) != NOTHING:
                    found.append((steps, in_use(client)))
        assert [] == found

    with FaultServer([ReadRequest(), Pause(0.002), *answering()[1:]]) as server:
        asyncio.run(run(server))


@pooled
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("end", [Reset(), Hang()], ids=["reset", "late"])
def test_row_92_cancelled_while_the_library_waits_for_itself(times: int, end: Step) -> None:
    """A connection that failed, and waits for a lock of the library's own to be closed, is closed all the same."""

    async def run(server: FaultServer) -> None:
        async with calling(server.url, timeout=0.1) as client:
            await client.chat(PROMPT)
            (pool,) = client._connections.registry()._pools.values()
            (connection,) = pool.transport._pool.connections
            task = asyncio.create_task(client.chat(PROMPT))
            await asyncio.sleep(0.02)
            async with connection._connection._state_lock:
                await asyncio.sleep(0.15)  # meanwhile it fails, and waits
                for _ in range(times):
                    task.cancel()
                    await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert NOTHING == in_use(client)

    with FaultServer([*answering(), ReadRequest(), Pause(0.04), end]) as server:
        asyncio.run(run(server))
        assert server.wait_closed()


@pytest.mark.slow
def test_rows_92_and_108_cancelled_in_a_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is cancelled while two answers race, and just as one of them wins, leaves nothing of either."""
    monkeypatch.setattr("llmswitch._hedging.SHORTEST", 0.001)
    chooser = random.Random(8)
    script: Script = [ReadRequest(), Pause(0.004), *answering()[1:]]

    async def run(t1: FaultServer, t2: FaultServer) -> None:
        async with calling(t1.url, t2.url, hedge=True) as client:
            adjust(client, hedge_after=0.001)
            for number in range(60):
                client._health._hedging.tokens = 5.0
                task = asyncio.create_task(read(client, stream=bool(number % 2)))
                await asyncio.sleep(0.004 + chooser.random() * 0.006)
                for _ in range(1 + number % 3):
                    task.cancel()
                    await asyncio.sleep(0)
                await asyncio.gather(task, return_exceptions=True)
                await asyncio.sleep(0.002)
                assert NOTHING == in_use(client), number
                assert [0, 0] == [shown.in_flight for shown in client.health()], number
            assert {asyncio.current_task()} == asyncio.all_tasks()

    with FaultServer(script) as t1, FaultServer(script) as t2:
        asyncio.run(run(t1, t2))
        assert t1.requests
        assert t2.requests


@only_on_linux
def test_row_92_cancelled_before_it_connects() -> None:
    """So does one that is cancelled while it connects, or as soon as it begins."""

    async def run(port: int) -> None:
        async with calling(f"http://127.0.0.1:{port}") as client:
            for delay in (0.0, 0.001, 0.05):
                tasks = [asyncio.create_task(read(client, stream=bool(number % 2))) for number in range(20)]
                await asyncio.sleep(delay)
                for task in tasks:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert {asyncio.CancelledError} == {type(result) for result in results}
                await asyncio.sleep(0.02)
                assert NOTHING == in_use(client)

    with black_hole() as port:
        asyncio.run(run(port))


def storm(seed: int, waves: int, tasks: int, *, twice: bool) -> None:
    """Calls at servers of every kind, each cancelled at a random moment, once or twice; then one that is not."""
    chooser = random.Random(seed)
    servers = [
        answering("fine"),
        [ReadRequest(), Hang()],
        ENDLESS,
        [ReadRequest(), Pause(0.01), Reset()],
        [ReadRequest(), Send(sse([*words(3), STOP, DONE]))],
    ]

    async def run(t1: FaultServer, t2: FaultServer) -> None:
        async with calling(t1.url, t2.url, first_token_timeout=30) as client:
            await client.chat(PROMPT, model="t2:m")
            for _ in range(waves):
                running = [asyncio.create_task(read(client, stream=chooser.random() < 0.7)) for _ in range(tasks)]
                for task in chooser.sample(running, len(running)):
                    if chooser.random() < 0.5:
                        await asyncio.sleep(chooser.random() * 0.002)
                    task.cancel()
                    if twice and chooser.random() < 0.3:
                        await asyncio.sleep(0)
                        task.cancel()
                for result in await asyncio.gather(*running, return_exceptions=True):
                    assert isinstance(result, (str, asyncio.CancelledError)), repr(result)
            await asyncio.sleep(0.05)
            assert NOTHING == in_use(client)
            assert HEALTHY == (await client.chat(PROMPT, model="t2:m")).text
            assert len(asyncio.all_tasks()) == 1

    scripts = [chooser.choice(servers) for _ in range(500)]
    with FaultServer(*scripts) as t1, FaultServer(answering()) as t2:
        asyncio.run(run(t1, t2))
        assert t1.wait_closed(2)


@pytest.mark.parametrize("tasks", sizes(12, 40))
@pytest.mark.parametrize("twice", [pytest.param(False, marks=pytest.mark.slow), True], ids=["once", "twice"])
def test_row_92_a_storm(twice: bool, tasks: int) -> None:
    """Calls that are cancelled at random leave no connection, no slot and no task behind; the next one succeeds."""
    storm(1, waves=3, tasks=tasks, twice=twice)


@pytest.mark.slow
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("seed", range(3))
def test_row_92_a_long_storm(seed: int, twice: bool) -> None:
    """Thousands of them."""
    storm(seed, waves=10, tasks=100, twice=twice)


# Out of the loop


def take_two(bench: Bench, how: str) -> None:
    """Take two events of a stream, and leave it in this way."""
    client = bench.client
    if isinstance(client, Client):
        stream = client.stream(PROMPT)
        if how == "with":
            with stream:
                take(stream, 2)
        elif how == "text":
            take(stream.text, 2)
        else:
            take(stream, 2)
            if how == "close":
                stream.close()
        return

    async def leave() -> None:
        assert isinstance(client, AsyncClient)
        stream = client.stream(PROMPT)
        if how == "with":
            async with stream:
                await take_async(stream, 2)
        elif how == "text":
            await take_async(stream.text, 2)
        else:
            await take_async(stream, 2)
            if how == "close":
                await stream.aclose()

    bench.run(leave())


def take(stream: Any, number: int) -> None:
    for _ in stream:
        number -= 1
        if number == 0:
            break


async def take_async(stream: Any, number: int) -> None:
    async for _ in stream:
        number -= 1
        if number == 0:
            break


@pytest.mark.parametrize("how", mostly_slow(["with", "close", "forgotten", "text"], ["forgotten"]))
def test_row_93_out_of_the_loop(streaming: Bench, how: str) -> None:
    """A stream that is left early, or forgotten, lets go of its connection within a second."""
    streaming.open(ENDLESS)
    take_two(streaming, how)
    gc.collect()
    started = time.monotonic()
    while time.monotonic() - started < 1 and streaming.t1.open:
        streaming.settle()
        time.sleep(0.005)
    assert 0 == streaming.t1.open
    assert NOTHING == in_use(streaming.client)


@pytest.mark.slow
def test_row_93_the_next_call_works(streaming: Bench) -> None:
    """After many streams left early the next call answers."""
    streaming.open(ENDLESS)
    for _ in range(5):
        for how in ("with", "close", "forgotten", "text"):
            take_two(streaming, how)
    gc.collect()
    streaming.settle()
    assert HEALTHY == streaming.ask(options={"model": "t2:m"}).text
    assert NOTHING == in_use(streaming.client)


@pytest.mark.slow
def test_row_93_a_stream_that_was_never_begun(streaming: Bench) -> None:
    """One that nobody iterates over sends nothing."""
    streaming.open(ENDLESS)
    client: Any = streaming.client
    client.stream(PROMPT)
    gc.collect()
    assert 0 == streaming.t1.accepted


def test_row_93_after_an_exception_of_the_callers_own(streaming: Bench) -> None:
    """What the caller's own code raises in the block passes through, and the connection is closed."""
    streaming.open(ENDLESS)
    client: Any = streaming.client

    def fail() -> None:
        with client.stream(PROMPT) as stream:
            for _ in stream:
                raise KeyError("his own")

    async def fail_async() -> None:
        async with client.stream(PROMPT) as stream:
            async for _ in stream:
                raise KeyError("his own")

    with pytest.raises(KeyError):
        fail() if streaming.way.sync else streaming.run(fail_async())
    streaming.settle()
    assert streaming.t1.wait_closed()


def test_a_stream_after_its_end(streaming: Bench) -> None:
    """A stream that has ended stays ended, and one that failed does not begin anew."""
    streaming.open([ReadRequest(), Send(sse([*words(3), STOP, DONE]))], [ReadRequest(), Send(sse(words(2)))])
    client: Any = streaming.client
    counts: list[int] = []

    def twice() -> None:
        stream = client.stream(PROMPT)
        counts.extend([len(list(stream)), len(list(stream))])

    async def twice_async() -> None:
        stream = client.stream(PROMPT)
        counts.extend([len([_ async for _ in stream]), len([_ async for _ in stream])])

    twice() if streaming.way.sync else streaming.run(twice_async())
    assert [4, 0] == counts


# Deadlines

HANGING: dict[str, Script] = {
    "connected": [Hang()],
    "asked": [ReadRequest(), Hang()],
    "began": [ReadRequest(), Send(sse([ROLE], ended=False)), Hang()],
}


@pytest.mark.parametrize("where", HANGING)
def test_row_102_a_short_deadline(bench: Bench, where: str) -> None:
    """Where the caller's own time is short, the first target does not get all of it."""
    outcome = bench.ask(HANGING[where], options={"timeout": 0.5})
    bench.moved(outcome, "FirstTokenTimeout", billed=True, within=0.5)
    assert outcome.seconds >= 0.25


def test_row_102_it_is_not_held_against_the_target(bench: Bench) -> None:
    """A target that was cut off by the caller's hurry is asked first again by the next call."""
    bench.open([ReadRequest(), Hang()], [ReadRequest(), Hang()], *[[ReadRequest(), Hang()]] * 4, answering("from T1"))
    for _ in range(6):
        assert HEALTHY == bench.ask(options={"timeout": 0.3}).text
    assert "from T1" == bench.ask().text


def test_row_102_both_hang(bench: Bench) -> None:
    """Where nobody answers, the call ends with its time: not before, and not long after."""
    t1, t2 = bench.serve([ReadRequest(), Hang()]), bench.serve([ReadRequest(), Hang()])
    bench.client = bench.client_for(t1.url, t2.url)
    outcome = bench.ask(options={"timeout": 0.4})
    assert outcome.error is not None
    assert "DeadlineExceeded" == type(outcome.error).__name__
    assert outcome.error.possibly_billed
    assert ["t1:m", "t2:m"] == [attempt.target for attempt in outcome.attempts]
    assert 0.35 <= outcome.seconds < 1.2
    bench.settle()
    assert t1.wait_closed()
    assert t2.wait_closed()


def test_row_102_in_the_middle_of_an_answer(streaming: Bench) -> None:
    """A deadline in the middle of an answer ends it as that, with what had arrived."""
    script = [ReadRequest(), Send(sse_head()), SendForever(chunk(event_bytes(text("w "))), every=0.05)]
    outcome = streaming.ask(script, options={"timeout": 0.4}, limits={**PATIENT, "idle_timeout": 0.2})
    error: Any = outcome.error
    assert "DeadlineExceeded" == type(error).__name__
    assert outcome.text == error.partial.text != ""
    assert 0.35 <= outcome.seconds < 1.2


def test_row_102_three_targets(whole: Bench) -> None:
    """The last of three still gets its share."""
    hanging = [whole.serve([ReadRequest(), Hang()]) for _ in range(2)]
    whole.client = whole.client_for(hanging[0].url, hanging[1].url, whole.serve(answering("T3")).url)
    outcome = whole.ask(options={"timeout": 0.6})
    assert "T3" == outcome.text
    assert ["t1:m", "t2:m", "t3:m"] == [attempt.target for attempt in outcome.attempts]
