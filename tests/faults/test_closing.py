"""A client that is closed: what is in flight ends at once and says why, and nobody waits for anybody."""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from llmswitch import AsyncClient, ClientClosed, LLMSwitchError, StreamInterrupted
from llmswitch.testing.fault_server import (
    FaultServer,
    Hang,
    ReadRequest,
    Send,
    SendForever,
    black_hole,
    chunk,
    sse,
    sse_head,
)
from tests.faults.bench import HEALTHY, LIBRARY, NOTHING, PATIENT, PROMPT, WAY_ASYNC, Bench, answering, in_use, text

only_on_linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a full queue drops connections on Linux")

WAITS = {
    "first-token": [ReadRequest(), Hang()],
    "headers": [ReadRequest(), Send(sse_head()), Hang()],
    "drips": [ReadRequest(), Send(sse_head()), SendForever(chunk(b": beat\n\n"), every=0.01)],
}


def close_during(bench: Bench, after: float = 0.1) -> tuple[LLMSwitchError, float]:
    """Close the client while it is asked; how the call ended, and how long after that."""
    client: Any = bench.client
    found: list[LLMSwitchError] = []
    ended = 0.0

    def ask() -> None:
        nonlocal ended
        found.append(bench.ask().error or LLMSwitchError("it answered"))
        ended = time.monotonic()

    async def both() -> float:
        asking = asyncio.ensure_future(bench._ask_async(client, PROMPT, {}, []))
        await asyncio.sleep(after)
        closed = time.monotonic()
        await client.aclose()
        assert time.monotonic() - closed < 0.5, "closing waits for nobody"
        found.extend(await asyncio.gather(asking, return_exceptions=True))  # type: ignore[arg-type]
        return time.monotonic() - closed

    if not bench.way.sync:
        took = bench.run(both())
        return found[0], took
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    time.sleep(after)
    closed = time.monotonic()
    client.close()
    assert time.monotonic() - closed < 0.5, "closing waits for nobody"
    thread.join(10)
    return found[0], ended - closed


@pytest.mark.parametrize("where", WAITS)
def test_row_96_a_call_in_flight(bench: Bench, where: str) -> None:
    """It ends as `ClientClosed` at once; nobody else is asked, no target is blamed, and the client can be used on."""
    bench.open(WAITS[where], answering("from T1"))
    error, took = close_during(bench)
    assert isinstance(error, ClientClosed), repr(error)
    assert "closed" in str(error)
    assert ["t1:m"] == [attempt.target for attempt in error.attempts]
    assert took < 0.5
    assert [] == bench.t2.requests
    assert {"ok"} == {shown.state for shown in bench.client.health()}
    assert [0, 0] == [shown.in_flight for shown in bench.client.health()]
    bench.settle()
    assert bench.t1.wait_closed()
    assert "from T1" == bench.ask().text


@only_on_linux
@pytest.mark.parametrize("where", ["connect", "tls", "name"])
def test_row_96_a_call_that_connects(whole: Bench, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """One that is still connecting ends at once where it is async, and within the limit on connecting in a thread."""
    released = threading.Event()
    if where == "name":

        def hang(*_: Any, **__: Any) -> None:
            released.wait(5)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
    with black_hole() as port:
        t1 = whole.serve([Hang()])
        at = {"connect": f"http://127.0.0.1:{port}", "tls": f"https://127.0.0.1:{t1.port}", "name": "http://t1-silent"}
        whole.open(at=at[where], limits={**PATIENT, "connect_timeout": 0.4})
        error, took = close_during(whole)
    released.set()
    assert isinstance(error, ClientClosed), repr(error)
    assert took < (0.6 if whole.way.sync else 0.2)
    assert [] == whole.t2.requests


@pytest.mark.parametrize("on_failure", ["raise", "restart"])
def test_row_96_an_answer_in_the_middle(streaming: Bench, on_failure: str) -> None:
    """A stream that had begun is broken off, with what had arrived and the reason; it does not begin anew."""
    script = [ReadRequest(), Send(sse([text("one "), text("two ")], ended=False)), Hang()]
    t1, t2 = streaming.serve(script), streaming.serve(answering())
    config = streaming.config(t1.url, t2.url, limits=PATIENT)
    config["chains"]["c"]["on_stream_failure"] = on_failure
    streaming.t2, streaming.client = t2, streaming.client_of(config)
    error, took = close_during(streaming)
    assert isinstance(error, StreamInterrupted), repr(error)
    assert isinstance(error.__cause__, ClientClosed)
    assert error.partial is not None
    assert "one two " == error.partial.text
    assert took < 0.5
    assert [] == t2.requests


def test_row_96_between_two_events(streaming: Bench) -> None:
    """So is one whose reader is doing something else."""
    streaming.open([ReadRequest(), Send(sse([text("one "), text("two ")], ended=False)), Hang()])
    client: Any = streaming.client

    def read() -> None:
        with client.stream(PROMPT) as stream:
            for _ in stream:
                client.close()

    async def read_async() -> None:
        async with client.stream(PROMPT) as stream:
            async for _ in stream:
                await client.aclose()

    with pytest.raises(StreamInterrupted) as caught:
        read() if streaming.way.sync else streaming.run(read_async())
    assert isinstance(caught.value.__cause__, ClientClosed)


def test_row_96_another_loops_calls_go_on() -> None:
    """An async client that is closed in one loop is not closed in another."""
    go = threading.Event()
    bench = Bench(WAY_ASYNC, ExitStack())
    texts: list[str] = []
    with FaultServer(answering("first"), [ReadRequest(), Send(b""), Hang()], answering()) as server:
        client = AsyncClient.from_config(bench.config(server.url, limits=PATIENT))

        async def other() -> None:
            texts.append((await client.chat(PROMPT)).text)
            go.set()
            await asyncio.sleep(0.1)
            texts.append((await client.chat(PROMPT)).text)
            await client.aclose()

        async def closing() -> None:
            asking = asyncio.create_task(client.chat(PROMPT))
            await asyncio.sleep(0.05)
            await client.aclose()
            with pytest.raises(ClientClosed):
                await asking

        thread = threading.Thread(target=lambda: asyncio.run(other()), daemon=True)
        thread.start()
        assert go.wait(5)
        asyncio.run(closing())
        thread.join(10)
        assert 2 == server.accepted
    assert ["first", HEALTHY] == texts


def test_row_96_a_client_brought_along_stays_open(whole: Bench) -> None:
    """Closing ends what is in flight in it, and it itself is its owner's."""
    library = importlib.import_module(LIBRARY)
    engine = library.Client(trust_env=False) if whole.way.sync else library.AsyncClient(trust_env=False)
    limits = {**PATIENT, "timeout": 0.8}
    whole.open([ReadRequest(), Hang()], answering("from T1"), http_client=engine, limits=limits)
    error, took = close_during(whole)
    assert isinstance(error, ClientClosed), repr(error)
    assert took < (1.2 if whole.way.sync else 0.2)
    assert not engine.is_closed
    assert "from T1" == whole.ask().text
    if whole.way.sync:
        engine.close()
    else:
        whole.run(engine.aclose())


def test_row_92_closing_is_cancelled() -> None:
    """Whoever is cancelled while he closes the client has closed it."""
    bench = Bench(WAY_ASYNC, ExitStack())

    async def main(server: FaultServer) -> None:
        client = AsyncClient.from_config(bench.config(server.url, limits=PATIENT))
        assert HEALTHY == (await client.chat(PROMPT)).text
        asking = asyncio.create_task(client.chat(PROMPT))
        await asyncio.sleep(0.05)
        task = asyncio.create_task(client.aclose())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(ClientClosed):
            await asking
        assert NOTHING == in_use(client)
        assert {asyncio.current_task()} == asyncio.all_tasks()

    with FaultServer([*answering(), ReadRequest(), Hang()]) as server:
        asyncio.run(main(server))
        assert server.wait_closed()


def test_row_93_a_stream_that_another_task_closes() -> None:
    """A task that waits for the next event of a stream sees its end when another one closes the stream."""
    bench = Bench(WAY_ASYNC, ExitStack())

    async def main(server: FaultServer) -> None:
        async with AsyncClient.from_config(bench.config(server.url, limits=PATIENT)) as client:
            stream = client.stream(PROMPT)
            begun = asyncio.Event()
            reading = asyncio.create_task(_all_of(stream, begun))
            await asyncio.wait_for(begun.wait(), 5)
            await stream.aclose()
            assert 1 == len(await asyncio.wait_for(reading, 1))
            assert NOTHING == in_use(client)

    with FaultServer([ReadRequest(), Send(sse([text("one ")], ended=False)), Hang()]) as server:
        asyncio.run(main(server))
        assert server.wait_closed()


async def _all_of(stream: Any, begun: asyncio.Event) -> list[Any]:
    heard = []
    async for event in stream:
        heard.append(event)
        begun.set()
    return heard
